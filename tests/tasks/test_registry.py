"""The registry: label types by task, column and name."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import DataError
from pipeline.tasks.registry import (
    LABEL_TYPES,
    default_label_type,
    label_type_for,
    label_type_named,
    tasks,
)

RIGHT: dict[str, tuple[list[Any], list[dict[str, Any]]]] = {
    "single_label": (["a", "b"], [{"label": "a"}, {"label": "b"}]),
    "multi_label": (
        [("a",), ("b",)],
        [
            {"labels": ["a"], "probabilities": {"a": 0.9, "b": 0.1}},
            {"labels": ["b"], "probabilities": {"a": 0.1, "b": 0.9}},
        ],
    ),
    "regression": ([1.0, 2.0, 4.0], [{"value": 1.0}, {"value": 2.0}, {"value": 4.0}]),
    "tags": ([("a", "b")], [{"tags": ["a", "b"]}]),
    "entities": ([("O", "B-x")], [{"tags": ["O", "B-x"]}]),
}


@pytest.mark.parametrize("label_type", LABEL_TYPES, ids=lambda own: own.name)
def test_the_right_answer_has_the_highest_score_by_every_metric(label_type: Any) -> None:
    gold, rows = RIGHT[label_type.name]
    for metric in (*label_type.metrics, label_type.probe_metric, label_type.control_metric):
        score = label_type.dev_score(metric, gold, rows)
        assert score == pytest.approx(0 if metric == "rmse" else 1)


def test_tasks_are_those_that_params_may_name() -> None:
    assert tasks() == [
        "sequence_classification",
        "multilabel_classification",
        "regression",
        "token_classification",
    ]


def test_a_label_type_follows_from_task_and_column() -> None:
    assert label_type_for("token_classification", "tags").name == "tags"
    assert label_type_for("token_classification", "bio").scheme == "bio"
    assert label_type_for("token_classification", "bio", "bioes").scheme == "bioes"
    assert default_label_type("number").name == "regression"


def test_a_column_that_a_task_does_not_learn_is_refused() -> None:
    with pytest.raises(DataError, match="holds 'class', the task learns 'tags' or 'bio'"):
        label_type_for("token_classification", "class")


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("class", "single_label"),
        ("classes", "multi_label"),
        ("number", "regression"),
        ("tags", "tags"),
        ("bio", "entities"),
    ],
)
def test_names_of_before_are_read(stored: str, name: str) -> None:
    assert label_type_named(stored).name == label_type_named(name).name == name


def test_a_name_that_there_is_none_of_is_an_error() -> None:
    with pytest.raises(DataError, match="no label type 'ordinal'; there are: single_label"):
        label_type_named("ordinal")
