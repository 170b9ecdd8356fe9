"""Predictions and labels of one head to metrics, beside a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.corpus.records import Text, parts
from pipeline.corpus.storage import Labels
from pipeline.errors import DataError
from pipeline.evaluation.baselines import MostFrequentTag, majority_class
from pipeline.evaluation.metrics import classification_scores, entity_scores
from pipeline.evaluation.mistakes import mistakes
from pipeline.evaluation.spans import OUTSIDE

SPLITS = ("dev", "test")


@dataclass(frozen=True)
class Evaluation:
    """Scores of a head.

    Attributes:
        metrics: by split, ready for JSON.
        confusion: ``(gold, predicted)`` of every test text, or word inside an entity of either.
        mistakes: the rows of dev and test that were predicted wrongly, the surest first.
    """

    metrics: dict[str, Any]
    confusion: list[tuple[str, str]]
    mistakes: list[dict[str, Any]]


def evaluate(
    labels: Labels, texts: Sequence[Text], predictions: Sequence[Mapping[str, Any]]
) -> Evaluation:
    """Scores predictions on dev and test.

    Args:
        labels: the head's label column.
        texts: the inputs, row by row as the labels.
        predictions: rows with ``id``, ``label`` or ``tags``, and ``probabilities``.

    Raises:
        DataError: the predictions are not of the labels' dev and test rows.
    """
    by_id = {str(row["id"]): row for row in predictions}
    answer = "label" if labels.kind == "class" else "tags"
    expected = {
        row_id for row_id, split in zip(labels.ids, labels.splits, strict=True) if split in SPLITS
    }
    if set(by_id) != expected or len(by_id) != len(predictions):
        raise DataError("the predictions are not of the labels' dev and test rows; run `dvc repro`")
    for row_id, value in zip(labels.ids, labels.values, strict=True):
        if row_id in by_id and (
            answer not in by_id[row_id]
            or (answer == "tags" and len(by_id[row_id]["tags"]) != len(value))
        ):
            raise DataError(f"the prediction of {row_id!r} has no {answer}, or not one per word")
    members = {
        name: [row for row, split in enumerate(labels.splits) if split == name]
        for name in ("train", *SPLITS)
    }
    for name, rows in members.items():
        if not rows:
            raise DataError(f"the {name} split is empty")
    if labels.kind == "class":
        metrics, confusion = _evaluate_classes(labels, by_id, members)
    else:
        metrics, confusion = _evaluate_tags(labels, texts, by_id, members)
    return Evaluation(metrics, confusion, mistakes(labels, texts, by_id, SPLITS))


def _evaluate_classes(
    labels: Labels, by_id: Mapping[str, Mapping[str, Any]], members: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    values: list[Any] = list(labels.values)
    guess = majority_class([values[row] for row in members["train"]])
    metrics: dict[str, Any] = {}
    confusion: list[tuple[str, str]] = []
    for name in SPLITS:
        gold = [values[row] for row in members[name]]
        predicted = [by_id[labels.ids[row]]["label"] for row in members[name]]
        scores = classification_scores(gold, predicted)
        baseline = classification_scores(gold, [guess] * len(gold))
        metrics[name] = {
            **asdict(scores),
            "baseline": {
                "name": "majority class",
                "accuracy": baseline.accuracy,
                "macro_f1": baseline.macro_f1,
            },
            "margin": scores.macro_f1 - baseline.macro_f1,
        }
        if name == "test":
            confusion = list(zip(gold, predicted, strict=True))
    return metrics, confusion


def _evaluate_tags(
    labels: Labels,
    texts: Sequence[Text],
    by_id: Mapping[str, Mapping[str, Any]],
    members: Mapping[str, Sequence[int]],
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    values: list[Any] = list(labels.values)
    train = members["train"]
    tagger = MostFrequentTag([parts(texts[row]) for row in train], [values[row] for row in train])
    metrics: dict[str, Any] = {}
    confusion: list[tuple[str, str]] = []
    for name in SPLITS:
        gold = [values[row] for row in members[name]]
        predicted = [by_id[labels.ids[row]]["tags"] for row in members[name]]
        scores = entity_scores(gold, predicted)
        baseline = entity_scores(gold, [tagger(parts(texts[row])) for row in members[name]])
        metrics[name] = {
            **asdict(scores),
            "words_without_a_prediction": sum(tags.count(None) for tags in predicted),
            "baseline": {"name": "most frequent tag per word", **asdict(baseline.micro)},
            "margin": scores.micro.f1 - baseline.micro.f1,
        }
        if name == "test":
            confusion = [
                (_type(a), _type(b or OUTSIDE))
                for tags, guesses in zip(gold, predicted, strict=True)
                for a, b in zip(tags, guesses, strict=True)
                if a != OUTSIDE or (b or OUTSIDE) != OUTSIDE
            ]
    return metrics, confusion


def _type(tag: str) -> str:
    return tag if tag == OUTSIDE else tag[2:]
