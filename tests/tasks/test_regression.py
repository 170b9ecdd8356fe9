"""Regression: targets and answers; metrics are those of scipy and scikit-learn, and never NaN."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr
from scored_examples import number, number_rows, unzipped
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from pipeline.core.files import canonical_json
from pipeline.tasks.correlation import drawn_ranks
from pipeline.tasks.regression import Regression

REGRESSION = Regression()


def predicted(values: list[float]) -> list[dict[str, Any]]:
    return [{"value": value} for value in values]


def all_scores(gold: list[float], values: list[float]) -> dict[str, float | None]:
    rows = predicted(values)
    return {**REGRESSION.resampled(gold, rows).scores(), **REGRESSION.details(gold, rows)}


def test_a_number_has_no_names_and_one_output() -> None:
    assert REGRESSION.label_names([1.0, 2.0]) == []
    assert REGRESSION.outputs([]) == 1
    target = REGRESSION.target(2.5, [], None)
    assert target.tolist() == [[2.5]]
    assert target.dtype == REGRESSION.target_dtype([]) == np.float32
    assert REGRESSION.centre_and_scale([1.0, 3.0]) == (2.0, 1.0)


def test_a_number_has_the_digits_of_float32() -> None:
    value = float(np.float32(1234.56789))
    row = REGRESSION.answer([], np.array([[value]]), np.zeros(1, np.int64))
    assert row == {"value": 1234.568}
    assert np.float32(row["value"]) == pytest.approx(np.float32(value), rel=1e-6)
    assert canonical_json(row)


@given(number_rows)
@settings(deadline=None)
def test_scores_are_those_of_scipy_and_sklearn(rows: list[tuple[float, float]]) -> None:
    gold, values = unzipped(rows)
    scores = all_scores(gold, values)
    assert scores["rmse"] == pytest.approx(root_mean_squared_error(gold, values))
    assert scores["mae"] == pytest.approx(mean_absolute_error(gold, values))
    if len(set(gold)) > 1:
        assert scores["r2"] == pytest.approx(r2_score(gold, values))
    else:
        assert scores["r2"] is None
    if len(set(gold)) > 1 and len(set(values)) > 1:
        assert scores["pearson"] == pytest.approx(pearsonr(gold, values).statistic, abs=1e-12)
        assert scores["spearman"] == pytest.approx(spearmanr(gold, values).statistic, abs=1e-12)
    else:
        assert scores["pearson"] is None
        assert scores["spearman"] is None


@given(st.lists(number, min_size=1, max_size=20))
def test_equal_values_share_the_mean_of_their_ranks(values: list[float]) -> None:
    ranks = drawn_ranks(np.array(values))(np.ones((len(values), 1)))
    assert ranks[:, 0].tolist() == rankdata(values).tolist()


@given(
    st.lists(
        st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1, max_size=6
    )
)
@settings(deadline=None)
def test_scores_of_any_floats_are_numbers_or_undefined(rows: list[tuple[float, float]]) -> None:
    for value in all_scores(*unzipped(rows)).values():
        assert value is None or math.isfinite(value)


def test_correlations_do_not_depend_on_the_scale_of_values() -> None:
    gold, values = [1.0, 2.0, 3.0, 5.0], [1.0, 3.0, 2.0, 4.0]
    expected = all_scores(gold, values)["pearson"]
    for scale in (1e-200, 1e200, sys.float_info.min):
        scaled = all_scores([value * scale for value in gold], values)
        assert scaled["pearson"] == pytest.approx(expected)


def test_numbers_beyond_the_range_of_squares_leave_the_error_undefined() -> None:
    scores = all_scores([1e200, -1e200, 0.0], [1.0, 2.0, 3.0])
    assert scores["rmse"] is None
    assert scores["spearman"] == pytest.approx(-0.5)


def test_a_smaller_error_is_a_higher_dev_score() -> None:
    numbers, noise = np.random.default_rng(2).normal(size=(2, 40))
    gold, near, far = (
        values.tolist() for values in (numbers, numbers + noise / 9, numbers + noise)
    )
    assert REGRESSION.dev_score("rmse", gold, predicted(far)) == pytest.approx(
        -sklearn.metrics.root_mean_squared_error(gold, far)
    )
    for metric in REGRESSION.metrics:
        scores = [REGRESSION.dev_score(metric, gold, predicted(some)) for some in (near, far)]
        assert scores[0] > scores[1]


def test_a_correlation_that_is_not_defined_is_none_at_all() -> None:
    gold, same = [1.0, 2.0, 3.0], predicted([7.0] * 3)
    assert REGRESSION.dev_score("pearson", gold, same) == 0
    assert REGRESSION.dev_score("spearman", gold, same) == 0


def test_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        REGRESSION.resampled([1.0, 2.0, 3.0], predicted([1.0, 2.0]))


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_the_baseline_is_the_mean_even_where_the_sum_is_no_number(train: list[float]) -> None:
    found = REGRESSION.baseline([""] * len(train), train)
    assert found.name == "mean"
    value = found.predict("any")["value"]
    rounding = max(map(abs, train)) * 1e-9 + 1e-300
    assert min(train) - rounding <= value <= max(train) + rounding


def test_numbers_that_are_not_finite_are_not_complete() -> None:
    assert REGRESSION.is_complete({"value": 1}, 1.0)
    for row in ({}, {"value": math.nan}, {"value": "1"}):
        assert not REGRESSION.is_complete(row, 1.0)
