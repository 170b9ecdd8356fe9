from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from scipy import stats
from seqeval.metrics import f1_score as entity_f1

from pipeline.heads.settings import METRICS
from pipeline.tasks.dev_score import dev_score
from pipeline.tasks.tasks import LABEL_KINDS

NAMES = ["a", "b", "c"]


def class_rows(rng: np.random.Generator) -> tuple[list[str], list[dict[str, Any]]]:
    gold = rng.choice(NAMES, 60).tolist()
    rows = [{"label": label} for label in rng.choice(NAMES, 60)]
    return gold, rows


def set_rows(rng: np.random.Generator) -> tuple[Any, Any, Any, Any]:
    gold = rng.random((60, 3)) < 0.4
    probabilities = np.round(rng.random((60, 3)), 3)
    rows = [
        {
            "labels": [name for name, value in zip(NAMES, row, strict=True) if value >= 0.5],
            "probabilities": dict(zip(NAMES, row.tolist(), strict=True)),
        }
        for row in probabilities
    ]
    values = [tuple(np.array(NAMES)[row].tolist()) for row in gold]
    return values, rows, gold, probabilities


def test_scores_of_classes_are_scikit_learns() -> None:
    gold, rows = class_rows(np.random.default_rng(0))
    predicted = [row["label"] for row in rows]
    macro = sklearn.metrics.f1_score(gold, predicted, average="macro")
    assert dev_score("macro_f1", "class", gold, rows) == pytest.approx(macro)
    accuracy = sklearn.metrics.accuracy_score(gold, predicted)
    assert dev_score("accuracy", "class", gold, rows) == pytest.approx(accuracy)


def test_scores_of_several_classes_are_scikit_learns() -> None:
    values, rows, gold, probabilities = set_rows(np.random.default_rng(1))
    chosen = probabilities >= 0.5
    for metric, average in (("macro_f1", "macro"), ("micro_f1", "micro")):
        expected = sklearn.metrics.f1_score(gold, chosen, average=average)
        assert dev_score(metric, "classes", values, rows) == pytest.approx(expected)
    expected = sklearn.metrics.average_precision_score(gold, probabilities, average="macro")
    assert dev_score("mean_average_precision", "classes", values, rows) == pytest.approx(expected)


def test_scores_of_numbers_are_scipys_and_a_smaller_error_is_higher() -> None:
    rng = np.random.default_rng(2)
    numbers, noise = rng.normal(size=(2, 40))
    gold, near, far = (
        values.tolist() for values in (numbers, numbers + noise / 9, numbers + noise)
    )
    rows = {"near": [{"value": v} for v in near], "far": [{"value": v} for v in far]}
    assert dev_score("spearman", "number", gold, rows["far"]) == pytest.approx(
        stats.spearmanr(gold, far).statistic
    )
    assert dev_score("pearson", "number", gold, rows["far"]) == pytest.approx(
        stats.pearsonr(gold, far).statistic
    )
    assert dev_score("rmse", "number", gold, rows["far"]) == pytest.approx(
        -sklearn.metrics.root_mean_squared_error(gold, far)
    )
    for metric in METRICS["regression"]:
        scores = {name: dev_score(metric, "number", gold, some) for name, some in rows.items()}
        assert scores["near"] > scores["far"]


def test_a_correlation_that_is_not_defined_is_none_at_all() -> None:
    gold, same = [1.0, 2.0, 3.0], [{"value": 7.0}] * 3
    assert dev_score("pearson", "number", gold, same) == 0
    assert dev_score("spearman", "number", gold, same) == 0


def test_scores_of_tags_are_seqevals_and_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    tags = ["O", "B-x", "B-y"]
    gold = [tuple(rng.choice(tags, rng.integers(1, 9)).tolist()) for _ in range(30)]
    rows = [
        {"tags": [tag if rng.random() < 0.7 else str(rng.choice(tags)) for tag in row]}
        for row in gold
    ]
    predicted = [row["tags"] for row in rows]
    expected = entity_f1([list(row) for row in gold], predicted)
    assert dev_score("entity_f1", "bio", gold, rows) == pytest.approx(expected)
    flat = [[tag for row in side for tag in row] for side in (gold, predicted)]
    expected = sklearn.metrics.accuracy_score(*flat)
    for kind in ("bio", "tags"):
        assert dev_score("word_accuracy", kind, gold, rows) == pytest.approx(expected)
    expected = sklearn.metrics.f1_score(*flat, average="macro")
    assert dev_score("macro_f1", "tags", gold, rows) == pytest.approx(expected)


def test_every_metric_of_every_task_has_a_score_and_the_right_answer_the_highest() -> None:
    right: dict[str, tuple[list[Any], list[dict[str, Any]]]] = {
        "class": (["a", "b"], [{"label": "a"}, {"label": "b"}]),
        "classes": (
            [("a",), ("b",)],
            [
                {"labels": ["a"], "probabilities": {"a": 0.9, "b": 0.1}},
                {"labels": ["b"], "probabilities": {"a": 0.1, "b": 0.9}},
            ],
        ),
        "number": ([1.0, 2.0, 4.0], [{"value": 1.0}, {"value": 2.0}, {"value": 4.0}]),
        "tags": ([("a", "b")], [{"tags": ["a", "b"]}]),
        "bio": ([("O", "B-x")], [{"tags": ["O", "B-x"]}]),
    }
    for task, metrics in METRICS.items():
        for kind in LABEL_KINDS[task]:
            for metric in metrics:
                if metric == "entity_f1" and kind == "tags":
                    continue  # refused by the settings
                score = dev_score(metric, kind, *right[kind])
                assert score == pytest.approx(0 if metric == "rmse" else 1)
