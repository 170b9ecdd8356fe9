"""Intervals of scores: the percentile bootstrap over examples.

Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13: examples are drawn with
replacement, as many as there are, and a score's 95% interval lies between the 2.5th and the 97.5th
percentile of what it is on the draws. A draw is a column of weights, how often each example is in
it, so that scores which follow from counts are matrix products of counts and weights. The draws
follow from a fixed seed: the same predictions, the same interval.

What the interval knows of is which examples happened to be in the split. It does not know of the
seed of training, nor of the choice of training examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.tasks.resampling import Floats, ResampledMetrics

RESAMPLES = 1000
"""Draws per interval; Efron and Tibshirani ask for about 1000 where percentiles are read."""

SEED = 1993
LEVEL = 95.0
_WEIGHTS_AT_ONCE = 1 << 17
"""Numbers in a block of weights, 1 MB: as much as stays in a processor's cache."""


@dataclass(frozen=True)
class Interval:
    """Interval that holds 95% of the draws; ``None`` where a score is undefined on all of them."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """Difference of two scores, the first minus the second, with its interval."""

    value: float | None
    low: float | None
    high: float | None


Draws: TypeAlias = dict[str, Floats]
"""(draws,) scores by name."""


def draw(
    samples: Sequence[ResampledMetrics], *, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Draws]:
    """Scores of several predictions of the same examples, on the same draws.

    Memory does not grow with ``resamples``; time does, and with the number of examples.

    Returns:
        Per sample its scores by name: (resamples,) float64, NaN where undefined.

    Raises:
        ValueError: the samples are not of equally many examples.
    """
    sizes = {sample.examples for sample in samples}
    if len(sizes) != 1:
        raise ValueError(f"samples of {sorted(sizes)} examples are not of the same ones")
    blocks: list[dict[str, list[Floats]]] = [
        {name: [] for name in sample.measures} for sample in samples
    ]
    for weights in _weights(sizes.pop(), resamples, seed):
        for sample, found in zip(samples, blocks, strict=True):
            for name, measure in sample.measures.items():
                found[name].append(measure(weights))
    return [{name: np.concatenate(parts) for name, parts in found.items()} for found in blocks]


def interval(values: Floats) -> Interval:
    """The 95% interval of a score from its draws; those on which it is undefined are left out."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return Interval(None, None)
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high))


def paired_bootstrap(
    first: ResampledMetrics,
    second: ResampledMetrics,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, Difference]:
    """Differences ``first - second`` of two sets of predictions of the same examples.

    Both are scored on the same draws, so that what makes an example hard for both cancels out.

    Args:
        first: a sample.
        second: of the same examples, in the same order.
        resamples: draws.
        seed: of the draws.

    Returns:
        A difference for each score that both have.

    Raises:
        ValueError: the samples are not of equally many examples.
    """
    draws = draw([first, second], resamples=resamples, seed=seed)
    return differences(first.scores(), second.scores(), *draws)


def differences(
    first: Mapping[str, float | None],
    second: Mapping[str, float | None],
    first_draws: Draws,
    second_draws: Draws,
) -> dict[str, Difference]:
    """Differences as in ``paired_bootstrap``, from scores and draws that are known already."""
    found = {}
    for name in [name for name in first if name in second]:
        a, b = first[name], second[name]
        if a is None or b is None:
            found[name] = Difference(None, None, None)
        else:
            where = interval(first_draws[name] - second_draws[name])
            found[name] = Difference(a - b, where.low, where.high)
    return found


def _weights(examples: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Blocks of (examples, draws) weights, ``resamples`` columns in all."""
    rng = np.random.default_rng(seed)
    most = max(1, _WEIGHTS_AT_ONCE // examples)
    for start in range(0, resamples, most):
        draws = min(most, resamples - start)
        cells = rng.integers(0, examples, (examples, draws)) * draws + np.arange(draws)
        counts = np.bincount(cells.ravel(), minlength=examples * draws)
        yield counts.reshape(examples, draws).astype(np.float64)
