"""Means and deviations of runs, by hand."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus.folds import Run
from pipeline.evaluation.runs import with_spread

SCORE = st.floats(0, 1)


def spread(scores: dict[Run, float | None]) -> dict[str, Any]:
    found = with_spread({run: {"test": {"f1": value}} for run, value in scores.items()})
    return {name: splits["test"]["f1"] for name, splits in found.items()}


def test_of_seeds_the_deviation_is_over_seeds() -> None:
    found = spread({Run(None, 1): 0.4, Run(None, 2): 0.6, Run(None, 3): 0.8})
    assert list(found) == ["seed_1", "seed_2", "seed_3", "mean", "deviation"]
    assert found["mean"] == pytest.approx(0.6)
    assert found["deviation"] == pytest.approx(sqrt((0.2**2 + 0 + 0.2**2) / 2))


def test_of_folds_the_deviation_is_over_folds() -> None:
    found = spread({Run(1, 9): 0.5, Run(2, 9): 0.6, Run(3, 9): 1.0})
    assert list(found) == ["fold_1", "fold_2", "fold_3", "mean", "deviation"]
    assert found["fold_2"] == 0.6
    assert found["mean"] == pytest.approx(0.7)
    assert found["deviation"] == pytest.approx(sqrt((0.2**2 + 0.1**2 + 0.3**2) / 2))


def test_of_folds_with_seeds_the_two_deviations_are_apart() -> None:
    runs = {(1, 8): 0.4, (1, 9): 0.6, (2, 8): 0.7, (2, 9): 0.7, (3, 8): 0.8, (3, 9): 1.0}
    found = spread({Run(*run): value for run, value in runs.items()})
    assert list(found)[:2] == ["fold_1_seed_8", "fold_1_seed_9"]
    assert list(found)[-3:] == ["mean", "deviation", "deviation_of_seeds"]
    assert found["mean"] == pytest.approx((0.5 + 0.7 + 0.9) / 3)
    assert found["deviation"] == pytest.approx(0.2)
    # The variances of two seeds: 0.02, 0 and 0.02.
    assert found["deviation_of_seeds"] == pytest.approx(sqrt(0.04 / 3))


@given(st.lists(st.lists(SCORE, min_size=2, max_size=2), min_size=3, max_size=6))
def test_deviations_are_those_of_numpy(table: list[list[float]]) -> None:
    found = spread(
        {
            Run(fold, seed): value
            for fold, row in enumerate(table, start=1)
            for seed, value in enumerate(row)
        }
    )
    values = np.array(table)
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-12)
    assert found["deviation"] == pytest.approx(values.mean(1).std(ddof=1), abs=1e-9)
    within = np.sqrt(values.var(axis=1, ddof=1).mean())
    assert found["deviation_of_seeds"] == pytest.approx(within, abs=1e-9)


def test_a_score_that_a_run_lacks_has_no_mean() -> None:
    for lacking in (Run(1, 8), Run(3, 9)):
        scores: dict[Run, float | None] = {
            Run(fold, seed): 0.5 for fold in (1, 2, 3) for seed in (8, 9)
        }
        found = spread({**scores, lacking: None})
        assert [found[name] for name in ("mean", "deviation", "deviation_of_seeds")] == [None] * 3
