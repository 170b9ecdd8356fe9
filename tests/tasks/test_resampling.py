"""A sample scores a draw as the metrics score the rows that the draw consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_examples import LABELS, multilabel_rows, named, number_rows, repeated, unzipped

from pipeline.tasks.classification_metrics import classification_scores, entity_scores, tag_scores
from pipeline.tasks.multilabel_metrics import multilabel_scores
from pipeline.tasks.regression_metrics import regression_scores
from pipeline.tasks.resampling import (
    Sample,
    class_sample,
    entity_sample,
    multilabel_sample,
    regression_sample,
    tags_sample,
)

classes = st.sampled_from(LABELS)
tag = st.sampled_from(["O", "O", "B-x", "I-x", "B-y", "I-y"])
sentences = st.lists(st.lists(st.tuples(tag, st.none() | tag), max_size=6), min_size=1, max_size=8)


def check(
    rows: list[Any],
    sample: Sample,
    expected: Callable[[list[Any]], dict[str, float | None]],
    data: st.DataObject,
) -> None:
    """Compares scores as they are and on three draws, one of them of a single row."""
    alone = np.zeros(len(rows))
    alone[data.draw(st.integers(0, len(rows) - 1))] = len(rows)
    weights = [np.ones(len(rows)), alone]
    for _ in range(2):
        places = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=12))
        weights.append(np.bincount(places, minlength=len(rows)).astype(float))
    assert sample.examples == len(rows)
    assert sample.scores() == pytest.approx(expected(rows), abs=1e-9)
    table = np.stack(weights, axis=1)
    for name, measure in sample.measures.items():
        found = measure(table)
        wanted = [expected(repeated(rows, column))[name] for column in weights]
        undefined = [np.nan if value is None else value for value in wanted]
        np.testing.assert_allclose(found, undefined, atol=1e-9)


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_classes(rows: list[tuple[str, str]], data: st.DataObject):
    def expected(drawn: list[Any]) -> dict[str, float | None]:
        scores = classification_scores(*unzipped(drawn))
        return {"accuracy": scores.accuracy, "macro_f1": scores.macro_f1}

    check(rows, class_sample(*unzipped(rows)), expected, data)


def _sides(rows: Sequence[list[Any]]) -> tuple[list[list[Any]], list[list[Any]]]:
    return [[a for a, _ in row] for row in rows], [[b for _, b in row] for row in rows]


@given(sentences, st.data())
@settings(deadline=None)
def test_plain_tags(rows: list[Any], data: st.DataObject):
    def expected(drawn: list[Any]) -> dict[str, float | None]:
        scores = tag_scores(*_sides(drawn))
        return {"word_accuracy": scores.word_accuracy, "macro_f1": scores.macro_f1}

    check(rows, tags_sample(*_sides(rows)), expected, data)


@given(sentences, st.data())
@settings(deadline=None)
def test_entities(rows: list[Any], data: st.DataObject):
    def expected(drawn: list[Any]) -> dict[str, float | None]:
        scores = entity_scores(*_sides(drawn))
        return {"entity_f1": scores.micro.f1, "word_accuracy": scores.word_accuracy}

    check(rows, entity_sample(*_sides(rows)), expected, data)


@given(multilabel_rows, st.data())
@settings(deadline=None)
def test_sets_of_labels(rows: list[Any], data: st.DataObject):
    def columns(drawn: list[Any]) -> tuple[list[Any], list[Any], list[dict[str, float]]]:
        gold, predicted, ranking = unzipped(drawn)
        return gold, predicted, named(ranking)

    def expected(drawn: list[Any]) -> dict[str, float | None]:
        scores = multilabel_scores(*columns(drawn))
        return {
            "micro_f1": scores.micro.f1,
            "macro_f1": scores.macro_f1,
            "mean_average_precision": scores.mean_average_precision,
        }

    check(rows, multilabel_sample(*columns(rows)), expected, data)


@given(number_rows, st.data())
@settings(deadline=None)
def test_numbers(rows: list[tuple[float, float]], data: st.DataObject):
    def expected(drawn: list[Any]) -> dict[str, float | None]:
        scores = regression_scores(*unzipped(drawn))
        return {"spearman": scores.spearman, "pearson": scores.pearson, "rmse": scores.rmse}

    check(rows, regression_sample(*unzipped(rows)), expected, data)


def test_numbers_beyond_the_range_of_squares_leave_the_error_undefined():
    scores = regression_sample([1e200, -1e200, 0.0], [1.0, 2.0, 3.0]).scores()
    assert scores["rmse"] is None
    assert scores["spearman"] == pytest.approx(-0.5)
