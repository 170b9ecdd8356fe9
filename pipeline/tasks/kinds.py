"""What each kind of label is scored by, and which pairs are drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pipeline.tasks.calibration import calibration
from pipeline.tasks.classification_metrics import (
    Scores,
    classification_scores,
    entity_scores,
    tag_scores,
)
from pipeline.tasks.multilabel_metrics import multilabel_scores
from pipeline.tasks.pairs import PAIRS, Pair
from pipeline.tasks.regression_metrics import regression_scores
from pipeline.tasks.resampling import (
    Sample,
    class_sample,
    entity_sample,
    multilabel_sample,
    regression_sample,
    tags_sample,
)

Golds: TypeAlias = Sequence[Any]
Rows: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Kind:
    """How predictions of one kind of label are scored.

    Attributes:
        sample: gold and predictions as what the headline scores are drawn from.
        details: further numbers by name, and a table of scores by class, label, tag or type.
        pairs: ``(actual, predicted)`` for plots.
    """

    sample: Callable[[Golds, Rows], Sample]
    details: Callable[[Golds, Rows], dict[str, Any]]
    pairs: Callable[[Golds, Rows], list[Pair]]


def _class_details(gold: Golds, rows: Rows) -> dict[str, Any]:
    predicted = _field(rows, "label")
    how_sure = calibration(gold, predicted, _field(rows, "probabilities"))
    return {
        "calibration_error": how_sure.calibration_error,
        "brier": how_sure.brier,
        "per_class": _table(classification_scores(gold, predicted).per_class),
    }


def _classes_details(gold: Golds, rows: Rows) -> dict[str, Any]:
    scores = multilabel_scores(gold, _field(rows, "labels"), _field(rows, "probabilities"))
    return {
        "micro_precision": scores.micro.precision,
        "micro_recall": scores.micro.recall,
        "micro_average_precision": scores.micro_average_precision,
        "subset_accuracy": scores.subset_accuracy,
        "per_label": _table(scores.per_label),
    }


def _number_details(gold: Golds, rows: Rows) -> dict[str, Any]:
    scores = regression_scores(gold, _field(rows, "value"))
    return {"mae": scores.mae, "r2": scores.r2}


def _tags_details(gold: Golds, rows: Rows) -> dict[str, Any]:
    predicted = _field(rows, "tags")
    return {**_words(predicted), "per_tag": _table(tag_scores(gold, predicted).per_tag)}


def _bio_details(gold: Golds, rows: Rows) -> dict[str, Any]:
    predicted = _field(rows, "tags")
    scores = entity_scores(gold, predicted)
    return {
        "entity_precision": scores.micro.precision,
        "entity_recall": scores.micro.recall,
        "entities": scores.micro.support,
        **_words(predicted),
        "per_type": _table(scores.per_type),
    }


KINDS = {
    "class": Kind(
        lambda gold, rows: class_sample(gold, _field(rows, "label")),
        _class_details,
        PAIRS["class"],
    ),
    "classes": Kind(
        lambda gold, rows: multilabel_sample(
            gold, _field(rows, "labels"), _field(rows, "probabilities")
        ),
        _classes_details,
        PAIRS["classes"],
    ),
    "number": Kind(
        lambda gold, rows: regression_sample(gold, _field(rows, "value")),
        _number_details,
        PAIRS["number"],
    ),
    "tags": Kind(
        lambda gold, rows: tags_sample(gold, _field(rows, "tags")), _tags_details, PAIRS["tags"]
    ),
    "bio": Kind(
        lambda gold, rows: entity_sample(gold, _field(rows, "tags")), _bio_details, PAIRS["bio"]
    ),
}


def _field(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows]


def _table(scores: Mapping[str, Scores]) -> dict[str, dict[str, Any]]:
    return {name: asdict(row) for name, row in scores.items()}


def _words(predicted: Sequence[Sequence[str | None]]) -> dict[str, int]:
    return {
        "words": sum(len(tags) for tags in predicted),
        "words_without_a_prediction": sum(tags.count(None) for tags in predicted),
    }
