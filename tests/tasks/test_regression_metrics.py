"""Metrics of numbers are those of scipy and scikit-learn, and never NaN."""

from __future__ import annotations

import math
import sys
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr
from scored_examples import number, number_rows, unzipped
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from pipeline.tasks.regression_metrics import mean_ranks, regression_scores


@given(number_rows)
@settings(deadline=None)
def test_scores_are_those_of_scipy_and_sklearn(rows: list[tuple[float, float]]):
    gold, predicted = unzipped(rows)
    scores = regression_scores(gold, predicted)
    assert scores.rmse == pytest.approx(root_mean_squared_error(gold, predicted))
    assert scores.mae == pytest.approx(mean_absolute_error(gold, predicted))
    if len(set(gold)) > 1:
        assert scores.r2 == pytest.approx(r2_score(gold, predicted))
    else:
        assert scores.r2 is None
    if len(set(gold)) > 1 and len(set(predicted)) > 1:
        assert scores.pearson == pytest.approx(pearsonr(gold, predicted).statistic, abs=1e-12)
        assert scores.spearman == pytest.approx(spearmanr(gold, predicted).statistic, abs=1e-12)
    else:
        assert scores.pearson is None
        assert scores.spearman is None


@given(st.lists(number, min_size=1, max_size=20))
def test_equal_values_share_the_mean_of_their_ranks(values: list[float]):
    assert mean_ranks(np.array(values)).tolist() == rankdata(values).tolist()


@given(
    st.lists(
        st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=1, max_size=6
    )
)
@settings(deadline=None)
def test_scores_of_any_floats_are_numbers_or_undefined(rows: list[tuple[float, float]]):
    for value in astuple(regression_scores(*unzipped(rows))):
        assert value is None or math.isfinite(value)


def test_correlations_do_not_depend_on_the_scale_of_values():
    gold, predicted = [1.0, 2.0, 3.0, 5.0], [1.0, 3.0, 2.0, 4.0]
    expected = regression_scores(gold, predicted).pearson
    for scale in (1e-200, 1e200, sys.float_info.min):
        scaled = regression_scores([value * scale for value in gold], predicted)
        assert scaled.pearson == pytest.approx(expected)


def test_rows_of_other_numbers_are_refused():
    with pytest.raises(ValueError, match="2 gold numbers for 1 predictions"):
        regression_scores([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="0 gold numbers"):
        regression_scores([], [])
