"""What each kind of label is scored by, and which pairs are drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pipeline.evaluation.bootstrap import Sample
from pipeline.evaluation.calibration import calibration
from pipeline.evaluation.metrics import Scores, classification_scores, entity_scores, tag_scores
from pipeline.evaluation.multilabel import multilabel_scores
from pipeline.evaluation.regression import regression_scores
from pipeline.evaluation.samples import (
    class_sample,
    entity_sample,
    multilabel_sample,
    regression_sample,
    tags_sample,
)
from pipeline.evaluation.spans import OUTSIDE

NONE = "(none)"
"""In pairs, what stands for a label that was missed, or given without being there."""

Golds: TypeAlias = Sequence[Any]
Rows: TypeAlias = Sequence[Mapping[str, Any]]
Pair: TypeAlias = tuple[str | float, str | float]


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


def _classes_pairs(gold: Golds, rows: Rows) -> list[Pair]:
    pairs: list[Pair] = []
    for labels, row in zip(gold, rows, strict=True):
        truth, found = set(labels), set(row["labels"])
        pairs += [
            (name if name in truth else NONE, name if name in found else NONE)
            for name in sorted(truth | found)
        ]
    return pairs


def _tags_pairs(gold: Golds, rows: Rows) -> list[Pair]:
    return [(tag, NONE if guess is None else guess) for tag, guess in _word_pairs(gold, rows)]


def _bio_pairs(gold: Golds, rows: Rows) -> list[Pair]:
    pairs = [(tag, guess or OUTSIDE) for tag, guess in _word_pairs(gold, rows)]
    return [(_type(a), _type(b)) for a, b in pairs if not a == b == OUTSIDE]


KINDS = {
    "class": Kind(
        lambda gold, rows: class_sample(gold, _field(rows, "label")),
        _class_details,
        lambda gold, rows: list(zip(gold, _field(rows, "label"), strict=True)),
    ),
    "classes": Kind(
        lambda gold, rows: multilabel_sample(
            gold, _field(rows, "labels"), _field(rows, "probabilities")
        ),
        _classes_details,
        _classes_pairs,
    ),
    "number": Kind(
        lambda gold, rows: regression_sample(gold, _field(rows, "value")),
        _number_details,
        lambda gold, rows: list(zip(gold, _field(rows, "value"), strict=True)),
    ),
    "tags": Kind(
        lambda gold, rows: tags_sample(gold, _field(rows, "tags")), _tags_details, _tags_pairs
    ),
    "bio": Kind(
        lambda gold, rows: entity_sample(gold, _field(rows, "tags")), _bio_details, _bio_pairs
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


def _word_pairs(gold: Golds, rows: Rows) -> list[tuple[str, str | None]]:
    return [
        pair
        for tags, row in zip(gold, rows, strict=True)
        for pair in zip(tags, row["tags"], strict=True)
    ]


def _type(tag: str) -> str:
    return tag if tag == OUTSIDE else tag[2:]
