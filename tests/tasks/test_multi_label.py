"""Multi-label: targets, thresholds and answers; metrics are those of scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_examples import LABELS, multilabel_rows, predicted_sets
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_fscore_support,
)

from pipeline.core.files import canonical_json
from pipeline.tasks.multi_label import MultiLabel
from pipeline.tasks.ranking import indicators

MULTI = MultiLabel()
Rows = list[tuple[Any, ...]]

THRESHOLD_ROWS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=25)
"""Probabilities in eighths, so that many are equal, and whether the text has the label."""


def answer(values: list[float], names: list[str], **thresholds: Any) -> dict[str, Any]:
    array = np.array([values])
    return MULTI.answer(names, array, array.argmax(1), thresholds=thresholds or None)


def test_a_head_learns_the_classes_of_training_in_order() -> None:
    assert MULTI.label_names([("b", "c"), (), ("a", "b")]) == ["a", "b", "c"]
    target = MULTI.target(("b", "new"), ["a", "b", "c"], None)
    assert target.tolist() == [[0, 1, 0]]
    assert target.dtype == MULTI.target_dtype(["a"]) == np.float32


def test_classes_are_those_from_their_threshold_on() -> None:
    names, values = ["a", "b", "c"], [0.5, 0.49999949, 0.2]
    row = answer(values, names)
    assert row == {"labels": ["a"], "probabilities": {"a": 0.5, "b": 0.499999, "c": 0.2}}
    assert answer(values, names, a=0.6, b=0.499999, c=0.2)["labels"] == ["b", "c"]
    assert canonical_json(row)


def test_a_text_may_have_no_class() -> None:
    assert answer([0.1], ["a"])["labels"] == []


@given(THRESHOLD_ROWS)
def test_a_threshold_is_the_best_of_all_and_the_lowest_of_equals(
    rows: list[tuple[int, bool]],
) -> None:
    probabilities = np.array([eighths / 8 for eighths, _ in rows])
    having = np.array([has for _, has in rows])
    gold = [("a",) if has else () for has in having]
    predictions = [{"probabilities": {"a": float(value)}} for value in probabilities]
    found = MULTI.thresholds(gold, predictions, ["a"])["a"]
    if not having.any():
        assert found == 0.5
        return
    scores = {
        limit: f1_score(having, probabilities >= limit, zero_division=0.0)
        for limit in set(probabilities.tolist())
    }
    best = max(scores.values())
    assert found == min(limit for limit, score in scores.items() if np.isclose(score, best))


def test_each_label_has_a_threshold_of_its_own_and_labels_that_are_not_known_have_none() -> None:
    names = ["rare", "often", "never"]
    table = [[0.1, 0.9, 0.2], [0.2, 0.8, 0.3], [0.3, 0.7, 0.4]]
    rows = [{"probabilities": dict(zip(names, row, strict=True))} for row in table]
    gold = [("often",), ("rare", "new"), ("rare",)]
    assert MULTI.thresholds(gold, rows, names) == {"rare": 0.2, "often": 0.9, "never": 0.5}


@given(multilabel_rows)
@settings(deadline=None)
def test_scores_are_those_of_sklearn(rows: Rows) -> None:
    gold, predictions = predicted_sets(rows)
    details, scores = MULTI.details(gold, predictions), MULTI.resampled(gold, predictions).scores()
    truth = indicators(gold, LABELS)
    found = indicators([row["labels"] for row in predictions], LABELS)
    micro = precision_recall_fscore_support(truth, found, average="micro", zero_division=0)[:3]
    assert (
        details["micro_precision"],
        details["micro_recall"],
        scores["micro_f1"],
    ) == pytest.approx(micro)
    assert details["subset_accuracy"] == pytest.approx(accuracy_score(truth, found))
    occurring = [column for column in range(len(LABELS)) if (truth | found)[:, column].any()]
    assert list(details["per_label"]) == [LABELS[column] for column in occurring]
    expected = (
        f1_score(truth, found, labels=occurring, average="macro", zero_division=0)
        if occurring
        else 0
    )
    assert scores["macro_f1"] == pytest.approx(expected)
    assert MULTI.dev_score("macro_f1", gold, predictions) == pytest.approx(expected)


@given(multilabel_rows)
@settings(deadline=None)
def test_average_precisions_are_those_of_sklearn_equal_probabilities_included(rows: Rows) -> None:
    gold, predictions = predicted_sets(rows)
    details, scores = MULTI.details(gold, predictions), MULTI.resampled(gold, predictions).scores()
    truth = indicators(gold, LABELS)
    ranking = np.array([list(row["probabilities"].values()) for row in predictions])
    having = [column for column in range(len(LABELS)) if truth[:, column].any()]
    expected = {
        LABELS[column]: average_precision_score(truth[:, column], ranking[:, column])
        for column in having
    }
    found = {
        name: row["average_precision"]
        for name, row in details["per_label"].items()
        if row["average_precision"] is not None
    }
    assert found == pytest.approx(expected)
    if not having:
        assert scores["mean_average_precision"] is None
        assert details["micro_average_precision"] is None
        assert MULTI.dev_score("mean_average_precision", gold, predictions) == 0
        return
    assert scores["mean_average_precision"] == pytest.approx(np.mean(list(expected.values())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single label, sklearn sees a binary problem
        micro = average_precision_score(truth.ravel(), ranking.ravel())
    assert details["micro_average_precision"] == pytest.approx(micro)


def test_a_label_that_the_head_does_not_know_is_missed_and_ranked_last() -> None:
    gold = [("new", "old"), ("old",)]
    rows = [
        {"labels": ["old"], "probabilities": {"old": 0.9}},
        {"labels": ["old"], "probabilities": {"old": 0.8}},
    ]
    details = MULTI.details(gold, rows)
    assert details["per_label"]["new"]["recall"] == 0.0
    assert details["per_label"]["new"]["average_precision"] == 0.5  # as often as it occurs
    assert details["subset_accuracy"] == 0.5
    missed = MULTI.compare(gold[0], rows[0])
    assert missed.mistake["confidence"] == {"new": 1.0}
    assert missed.confidence == 1.0


def test_the_baseline_has_the_labels_of_more_than_half_of_the_texts() -> None:
    found = MULTI.baseline([""] * 4, [("a", "b"), ("a",), ("b", "c"), ("a",)])
    assert found.name == "majority per label"
    assert found.predict("any") == {
        "labels": ["a"],
        "probabilities": {"a": 0.75, "b": 0.5, "c": 0.25},
    }
    assert MULTI.baseline(["", ""], [(), ()]).predict("") == {"labels": [], "probabilities": {}}


def test_rows_without_their_probabilities_are_not_complete() -> None:
    assert MULTI.is_complete({"labels": [], "probabilities": {"a": 0.1}}, ())
    for row in ({}, {"probabilities": {}}, {"labels": ["b"], "probabilities": {"a": 0.1}}):
        assert not MULTI.is_complete(row, ())
