"""Intervals are those of scipy's bootstrap, deterministic, and as wide as they must be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import pearsonr

from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import Difference, Interval, draw, interval, paired_bootstrap
from pipeline.tasks.regression import Regression
from pipeline.tasks.resampling import ResampledMetrics
from pipeline.tasks.single_label import SingleLabel


def class_sample(gold: list[str], predicted: list[str]) -> ResampledMetrics:
    return SingleLabel().resampled(gold, [{"label": label} for label in predicted])


def regression_sample(gold: list[float], predicted: list[float]) -> ResampledMetrics:
    return Regression().resampled(gold, [{"value": value} for value in predicted])


def mean_of(values: np.ndarray) -> ResampledMetrics:
    return ResampledMetrics(
        len(values), {"mean": lambda weights: values @ weights / weights.sum(0)}
    )


def test_the_interval_of_a_mean_is_about_that_of_scipy():
    values = np.random.default_rng(0).exponential(size=80)
    found = interval(draw([mean_of(values)], resamples=20_000)[0]["mean"])
    expected = scipy_bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=0.01)


def test_the_interval_of_a_correlation_is_about_that_of_scipy():
    rng = np.random.default_rng(3)
    gold = rng.normal(size=60)
    guess = gold + rng.normal(size=60)
    sample = regression_sample(gold.tolist(), guess.tolist())
    found = interval(draw([sample], resamples=10_000)[0]["pearson"])
    expected = scipy_bootstrap(
        (gold, guess),
        lambda a, b: pearsonr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.01)


def test_an_accuracy_lies_in_its_interval_95_times_of_100():
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(300):
        right = rng.random(150) < 0.8
        sample = class_sample(["a"] * 150, ["a" if good else "b" for good in right])
        found = interval(draw([sample], resamples=400)[0]["accuracy"])
        covered.append(found.low <= 0.8 <= found.high)
    assert 0.91 <= np.mean(covered) <= 0.98


def test_the_same_predictions_have_the_same_interval():
    sample = class_sample(["a", "b", "a"] * 20, ["a", "a", "b"] * 20)
    assert interval(draw([sample])[0]["macro_f1"]) == interval(draw([sample])[0]["macro_f1"])


def test_every_draw_has_as_many_examples_as_there_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bootstrap, "_WEIGHTS_AT_ONCE", 64)  # several blocks
    counting = ResampledMetrics(10, {"examples": lambda weights: weights.sum(0)})
    (draws,) = draw([counting], resamples=101)
    assert draws["examples"].tolist() == [10.0] * 101


def test_samples_share_their_draws():
    values = np.arange(30.0)
    first, second = draw([mean_of(values), mean_of(values + 1)])
    assert np.allclose(second["mean"] - first["mean"], 1)


def test_a_difference_that_every_example_has_is_certain():
    values = np.random.default_rng(0).normal(size=50)
    found = paired_bootstrap(mean_of(values + 0.5), mean_of(values))["mean"]
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_pairs_tell_apart_what_intervals_of_each_do_not():
    gold = ["a"] * 200
    worse = ["a"] * 120 + ["b"] * 80
    better = ["a"] * 132 + ["b"] * 68  # right wherever the other is, and twelve times more
    first, second = class_sample(gold, better), class_sample(gold, worse)
    a, b = (interval(draws["accuracy"]) for draws in draw([first, second]))
    assert a.low < b.high
    difference = paired_bootstrap(first, second)["accuracy"]
    assert difference.value == pytest.approx(0.06)
    assert difference.low > 0


def test_a_score_that_is_undefined_has_no_interval_and_no_difference():
    constant = regression_sample([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert interval(draw([constant])[0]["pearson"]) == Interval(None, None)
    other = regression_sample([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    found = paired_bootstrap(other, constant)
    assert found["spearman"] == Difference(None, None, None)
    assert found["rmse"].value < 0


def test_draws_that_leave_a_score_undefined_are_left_out():
    assert interval(np.array([np.nan, 1.0, np.nan, 1.0])) == Interval(1.0, 1.0)


def test_samples_of_other_examples_are_refused():
    with pytest.raises(ValueError, match=r"\[2, 3\] examples are not of the same ones"):
        paired_bootstrap(mean_of(np.ones(2)), mean_of(np.ones(3)))
