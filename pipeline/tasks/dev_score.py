"""The score that the best epoch, and the best of several seeds, is chosen by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.tasks.classification_metrics import classification_scores, entity_scores, tag_scores
from pipeline.tasks.multilabel_metrics import multilabel_scores
from pipeline.tasks.regression_metrics import regression_scores

Golds = Sequence[Any]
Rows = Sequence[Mapping[str, Any]]


def dev_score(metric: str, kind: str, gold: Golds, predicted: Rows) -> float:
    """The score of predictions; higher is better.

    Args:
        metric: as in ``TrainingSettings``.
        kind: of the labels.
        gold: the labels.
        predicted: rows of predictions, as ``pipeline.heads.decoding`` gives them.

    Returns:
        The metric; minus the error for ``rmse``; 0 where it is not defined, as the correlation of
        numbers that are all the same.
    """
    value = _SCORES[kind](metric, gold, predicted)
    if value is None:
        return 0.0
    return -value if metric == "rmse" else value


def _classes(metric: str, gold: Golds, rows: Rows) -> float:
    scores = classification_scores(gold, [row["label"] for row in rows])
    return scores.accuracy if metric == "accuracy" else scores.macro_f1


def _label_sets(metric: str, gold: Golds, rows: Rows) -> float | None:
    labels, probabilities = ([row[name] for row in rows] for name in ("labels", "probabilities"))
    scores = multilabel_scores(gold, labels, probabilities)
    if metric == "mean_average_precision":
        return scores.mean_average_precision
    return scores.micro.f1 if metric == "micro_f1" else scores.macro_f1


def _numbers(metric: str, gold: Golds, rows: Rows) -> float | None:
    scores = regression_scores(gold, [row["value"] for row in rows])
    return {"spearman": scores.spearman, "pearson": scores.pearson, "rmse": scores.rmse}[metric]


def _tags(metric: str, gold: Golds, rows: Rows) -> float:
    tags = [row["tags"] for row in rows]
    if metric == "entity_f1":
        return entity_scores(gold, tags).micro.f1
    scores = tag_scores(gold, tags)
    return scores.word_accuracy if metric == "word_accuracy" else scores.macro_f1


_SCORES: dict[str, Callable[[str, Golds, Rows], float | None]] = {
    "class": _classes,
    "classes": _label_sets,
    "number": _numbers,
    "tags": _tags,
    "bio": _tags,
}
