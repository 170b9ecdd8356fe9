"""Metrics of sets of labels are those of scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scored_examples import LABELS, multilabel_rows, named, unzipped
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_fscore_support,
)

from pipeline.tasks.multilabel_metrics import indicators, multilabel_scores

Rows = list[tuple[Any, ...]]


@given(multilabel_rows)
@settings(deadline=None)
def test_scores_are_those_of_sklearn(rows: Rows):
    gold, predicted, ranking = unzipped(rows)
    scores = multilabel_scores(gold, predicted, named(ranking))
    truth, found = indicators(gold, LABELS), indicators(predicted, LABELS)
    micro = precision_recall_fscore_support(truth, found, average="micro", zero_division=0)[:3]
    assert (scores.micro.precision, scores.micro.recall, scores.micro.f1) == pytest.approx(micro)
    assert scores.micro.support == truth.sum()
    assert scores.subset_accuracy == pytest.approx(accuracy_score(truth, found))
    occurring = [column for column in range(len(LABELS)) if (truth | found)[:, column].any()]
    assert list(scores.per_label) == [LABELS[column] for column in occurring]
    expected = (
        f1_score(truth, found, labels=occurring, average="macro", zero_division=0)
        if occurring
        else 0
    )
    assert scores.macro_f1 == pytest.approx(expected)


@given(multilabel_rows)
@settings(deadline=None)
def test_average_precisions_are_those_of_sklearn_equal_probabilities_included(rows: Rows):
    gold, predicted, ranking = unzipped(rows)
    scores = multilabel_scores(gold, predicted, named(ranking))
    truth = indicators(gold, LABELS)
    having = [column for column in range(len(LABELS)) if truth[:, column].any()]
    expected = {
        LABELS[column]: average_precision_score(truth[:, column], np.array(ranking)[:, column])
        for column in having
    }
    found = {
        name: row.average_precision
        for name, row in scores.per_label.items()
        if row.average_precision is not None
    }
    assert found == pytest.approx(expected)
    if not having:
        assert scores.mean_average_precision is None
        assert scores.micro_average_precision is None
        return
    assert scores.mean_average_precision == pytest.approx(np.mean(list(expected.values())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single label, sklearn sees a binary problem
        micro = average_precision_score(truth.ravel(), np.array(ranking).ravel())
    assert scores.micro_average_precision == pytest.approx(micro)


def test_a_label_that_the_head_does_not_know_is_missed_and_ranked_last():
    scores = multilabel_scores(
        [("new", "old"), ("old",)], [("old",), ("old",)], [{"old": 0.9}, {"old": 0.8}]
    )
    assert scores.per_label["new"].recall == 0.0
    assert scores.per_label["new"].average_precision == 0.5  # as often as it occurs
    assert scores.subset_accuracy == 0.5


def test_rows_of_other_numbers_are_refused():
    with pytest.raises(ValueError, match="2 gold sets of labels for 1 predictions and 2 rows"):
        multilabel_scores([(), ()], [()], [{}, {}])
    with pytest.raises(ValueError, match="0 gold sets"):
        multilabel_scores([], [], [])
