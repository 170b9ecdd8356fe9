"""A draw is scored as the rows are that it consists of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_examples import LABELS, multilabel_rows, number_rows, predicted_sets, repeated

from pipeline.tasks.entities import Entities
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.multi_label import MultiLabel
from pipeline.tasks.regression import Regression
from pipeline.tasks.single_label import SingleLabel
from pipeline.tasks.tags import Tags

classes = st.sampled_from(LABELS)
tag = st.sampled_from(["O", "O", "B-x", "I-x", "B-y", "I-y"])
sentences = st.lists(st.lists(st.tuples(tag, st.none() | tag), max_size=6), min_size=1, max_size=8)


def check(label_type: LabelType, gold: list[Any], rows: list[Any], data: st.DataObject) -> None:
    """Compares scores on three draws, one of them of a single row, with those of their rows."""
    alone = np.zeros(len(rows))
    alone[data.draw(st.integers(0, len(rows) - 1))] = len(rows)
    weights = [np.ones(len(rows)), alone]
    for _ in range(2):
        places = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=12))
        weights.append(np.bincount(places, minlength=len(rows)).astype(float))
    metrics = label_type.resampled(gold, rows)
    assert metrics.examples == len(rows)
    table = np.stack(weights, axis=1)
    for name, measure in {**metrics.measures, **metrics.others}.items():
        wanted = [
            label_type.resampled(repeated(gold, own), repeated(rows, own)).score(name)
            for own in weights
        ]
        undefined = [np.nan if value is None else value for value in wanted]
        np.testing.assert_allclose(measure(table), undefined, atol=1e-9)


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_classes(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    gold, predicted = [gold for gold, _ in rows], [{"label": guess} for _, guess in rows]
    check(SingleLabel(), gold, predicted, data)


@pytest.mark.parametrize("label_type", [Tags(), Entities()])
@given(rows=sentences, data=st.data())
@settings(deadline=None)
def test_tags(label_type: LabelType, rows: list[Any], data: st.DataObject) -> None:
    gold = [[gold for gold, _ in row] for row in rows]
    check(label_type, gold, [{"tags": [guess for _, guess in row]} for row in rows], data)


@given(multilabel_rows, st.data())
@settings(deadline=None)
def test_sets_of_labels(rows: list[Any], data: st.DataObject) -> None:
    check(MultiLabel(), *predicted_sets(rows), data)


@given(number_rows, st.data())
@settings(deadline=None)
def test_numbers(rows: list[tuple[float, float]], data: st.DataObject) -> None:
    gold, predicted = [gold for gold, _ in rows], [{"value": guess} for _, guess in rows]
    check(Regression(), gold, predicted, data)
