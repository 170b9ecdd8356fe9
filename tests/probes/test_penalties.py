"""The penalty is the best of a path that goes on while it gets better, at either end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.probes.linear_models import LinearModel
from pipeline.probes.penalties import LARGEST, SMALLEST, ChosenPenalty, choose_penalty


class Path:
    """A fit whose model is its penalty."""

    def __init__(self) -> None:
        self.tried: list[float] = []

    def fit(self, l2: float, *, tolerance: float) -> LinearModel:  # noqa: ARG002
        self.tried.append(l2)
        return LinearModel(np.full((1, 1), l2), np.zeros(1), converged=True)


def chosen(
    score: Callable[[float], float], *, start: int = -2
) -> tuple[ChosenPenalty, list[float]]:
    path = Path()
    found = choose_penalty(
        path,  # type: ignore[arg-type]
        start=start,
        score=lambda model: score(float(np.log10(model.weights[0, 0]))),
        tolerance=1e-3,
    )
    assert sorted(found.scores, reverse=True) == list(found.scores)
    assert found.model.weights[0, 0] == found.l2
    return found, path.tried


@pytest.mark.parametrize("best", [-5, -3, -2, 0])
def test_the_best_is_inside_of_what_was_tried(best: int) -> None:
    found, tried = chosen(lambda power: -abs(power - best))
    assert found.l2 == pytest.approx(10.0**best)
    assert not found.at_end
    assert len(tried) <= 6


def test_a_score_that_is_a_little_lower_once_ends_nothing() -> None:
    scores = {-2: 0.5, -3: 0.495, -4: 0.6, -5: 0.595, -6: 0.594}
    found, tried = chosen(lambda power: scores[round(power)])
    assert found.l2 == pytest.approx(1e-4)
    assert len(tried) == 5


@pytest.mark.parametrize(("sign", "end"), [(1, LARGEST), (-1, SMALLEST)])
def test_a_best_penalty_at_the_end_is_told(sign: int, end: int) -> None:
    found, _ = chosen(lambda power: sign * power)
    assert found.l2 == pytest.approx(10.0**end)
    assert found.at_end


def test_of_equals_the_largest_is_chosen_and_nothing_is_looked_for_above_it() -> None:
    found, tried = chosen(lambda _: 0.5)
    assert found.l2 == pytest.approx(1e-2)
    assert max(tried) == pytest.approx(1e-1)
    assert not found.at_end
