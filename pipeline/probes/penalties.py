"""The penalty of a linear model, chosen on dev along a path of powers of ten.

The path leads from large penalties to small ones, each fit beginning at the one before. It ends
once a score is clearly below the best, or the second in a row is below it, and begins further up
where the first was the best: so the best penalty lies inside of what was tried, unless it lies at
an end of ``SMALLEST`` to ``LARGEST``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.probes.linear_models import LinearFit, LinearModel

SMALLEST, LARGEST = -7, 3
"""Powers of ten."""

CLEARLY = 0.01
"""By how much a score is below another one, so that nothing better is looked for beyond it."""


@dataclass(frozen=True)
class ChosenPenalty:
    """Result of a search.

    Attributes:
        l2: the penalty with the best score, the largest among equals.
        scores: of every penalty that was tried, from the largest to the smallest.
        model: of the chosen one.
    """

    l2: float
    scores: dict[float, float]
    model: LinearModel

    @property
    def at_end(self) -> bool:
        """Whether the chosen one is the largest or the smallest that was tried."""
        return self.l2 in (max(self.scores), min(self.scores))


def choose_penalty(
    fit: LinearFit, *, start: int, score: Callable[[LinearModel], float], tolerance: float
) -> ChosenPenalty:
    """Fits a path of penalties, and chooses the best.

    Args:
        fit: of the training rows.
        start: power of ten that the path begins at.
        score: on dev; higher is better.
        tolerance: of each fit.
    """
    models: dict[int, LinearModel] = {}
    scores: dict[int, float] = {}

    def try_power(power: int) -> float:
        models[power] = fit.fit(10.0**power, tolerance=tolerance)
        scores[power] = score(models[power])
        return scores[power]

    best, below = try_power(start), 0
    for power in range(start - 1, SMALLEST - 1, -1):
        found = try_power(power)
        below = 0 if found >= best else below + 1
        if below == 2 or found < best - CLEARLY:
            break
        best = max(best, found)
    if max(scores, key=lambda power: (scores[power], power)) == start:
        for power in range(start + 1, LARGEST + 1):
            if try_power(power) <= scores[power - 1]:
                break
    chosen = max(scores, key=lambda power: (scores[power], power <= start, power))
    return ChosenPenalty(
        10.0**chosen,
        {10.0**power: scores[power] for power in sorted(scores, reverse=True)},
        models[chosen],
    )
