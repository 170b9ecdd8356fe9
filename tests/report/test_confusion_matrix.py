"""Matrices of pairs, against scikit-learn and against what they leave together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearn_matrix

from pipeline.report.confusion import OTHERS, SHADES, confusion_matrix

LABELS = st.sampled_from(["b", "a", "O", "(none)", "c", "d"])
PAIRS = st.lists(st.tuples(LABELS, LABELS), min_size=1)


@pytest.mark.filterwarnings("ignore:A single label")
@given(PAIRS)
def test_counts_are_those_of_scikit_learn(pairs):
    matrix = confusion_matrix(pairs)
    gold, predicted = zip(*pairs, strict=True)
    expected = sklearn_matrix(gold, predicted, labels=matrix.labels)
    assert [list(row) for row in matrix.counts] == expected.tolist()


@given(PAIRS, st.integers(2, 4))
def test_rare_labels_share_one(pairs, most):
    matrix = confusion_matrix(pairs, most=most)
    distinct = {label for pair in pairs for label in pair}
    assert len(matrix.labels) == min(most, len(distinct))
    assert sum(map(sum, matrix.counts)) == len(pairs)
    assert matrix.grouped == (len(distinct) - most + 1 if len(distinct) > most else 0)
    assert (OTHERS in matrix.labels) == (len(distinct) > most)
    for pair in pairs:
        row, column = matrix.place(pair)
        assert matrix.counts[row][column]


def test_outside_and_none_come_last():
    assert confusion_matrix([("O", "z"), ("(none)", "a")]).labels == ("a", "z", "O", "(none)")


def test_no_pairs_are_no_matrix():
    assert confusion_matrix([]) is None


@given(PAIRS)
def test_shades_are_shares_of_a_row_and_something_is_never_nothing(pairs):
    matrix = confusion_matrix(pairs)
    for row, counts in enumerate(matrix.counts):
        for column, count in enumerate(counts):
            shade = matrix.shade(row, column)
            assert (shade > 0) == (count > 0)
            assert shade <= SHADES
            if count:
                assert abs(shade / SHADES - count / sum(counts)) <= 1 / SHADES
