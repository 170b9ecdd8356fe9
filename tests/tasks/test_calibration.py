"""Probabilities are compared with frequencies, in bins that do not depend on the order of texts."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from pipeline.tasks.calibration import CalibrationBin, calibration

NAMES = ["a", "b", "c"]
texts = st.lists(
    st.tuples(st.sampled_from(NAMES), st.tuples(*[st.integers(1, 6)] * len(NAMES))),
    min_size=1,
    max_size=40,
)
Texts = list[tuple[str, tuple[int, ...]]]


def rows(drawn: Texts) -> tuple[list[str], list[str], list[dict[str, float]]]:
    shares = [
        {name: part / sum(parts) for name, part in zip(NAMES, parts, strict=True)}
        for _, parts in drawn
    ]
    return [name for name, _ in drawn], [max(row, key=row.__getitem__) for row in shares], shares


# scikit-learn wonders whether so many classes in so few rows are meant.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@given(texts)
@settings(deadline=None)
def test_brier_score_is_that_of_sklearn(drawn: Texts):
    gold, predicted, shares = rows(drawn)
    table = np.array([[row[name] for name in NAMES] for row in shares])
    expected = brier_score_loss(gold, table, labels=NAMES, scale_by_half=False)
    assert calibration(gold, predicted, shares).brier == pytest.approx(expected)


@given(texts)
@settings(deadline=None)
def test_bins_hold_every_text_once_by_rising_confidence(drawn: Texts):
    result = calibration(*rows(drawn), bins=5)
    assert sum(row.texts for row in result.bins) == len(drawn)
    assert len(result.bins) <= 5
    confidences = [row.confidence for row in result.bins]
    assert confidences == sorted(confidences)
    assert 0 <= result.calibration_error <= 1


@given(texts, st.randoms())
@settings(deadline=None)
def test_the_order_of_texts_changes_nothing(drawn: Texts, chance: random.Random):
    shuffled = list(drawn)
    chance.shuffle(shuffled)
    a, b = calibration(*rows(drawn)), calibration(*rows(shuffled))
    assert a.calibration_error == pytest.approx(b.calibration_error)
    assert [row.texts for row in a.bins] == [row.texts for row in b.bins]


def test_the_error_is_the_mean_gap_between_confidence_and_accuracy():
    sure = [{"a": 0.9, "b": 0.1}] * 2 + [{"a": 0.6, "b": 0.4}] * 2
    result = calibration(["a", "b", "a", "a"], ["a"] * 4, sure, bins=2)
    assert result.bins == [
        CalibrationBin(pytest.approx(0.6), 1.0, 2),
        CalibrationBin(pytest.approx(0.9), 0.5, 2),
    ]
    assert result.calibration_error == pytest.approx((0.4 + 0.4) / 2)


def test_distinct_confidences_fill_bins_of_equal_mass():
    shares = [{"a": 0.5 + place / 1000, "b": 0.5 - place / 1000} for place in range(100)]
    assert [row.texts for row in calibration(["a"] * 100, ["a"] * 100, shares).bins] == [10] * 10


def test_equal_confidences_share_one_bin():
    result = calibration(["a", "b"] * 3, ["a"] * 6, [{"a": 1.0, "b": 0.0}] * 6)
    assert result.bins == [CalibrationBin(1.0, 0.5, 6)]
    assert result.calibration_error == 0.5
    assert result.brier == 1.0


def test_a_class_that_the_head_does_not_know_has_probability_0():
    assert calibration(["new"], ["a"], [{"a": 0.6, "b": 0.4}]).brier == pytest.approx(
        0.36 + 0.16 + 1
    )


def test_rows_of_other_numbers_are_refused():
    with pytest.raises(ValueError, match="1 gold labels for 1 predictions and 0 rows"):
        calibration(["a"], ["a"], [])
