"""Metrics as pure functions of gold and predicted labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.evaluation.spans import OUTSIDE, entities


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of one class or entity type, and how often it occurs in gold."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of one label per text.

    ``macro_f1`` is the unweighted mean over the classes that occur in gold or predictions.
    """

    accuracy: float
    macro_f1: float
    per_class: dict[str, Scores]


@dataclass(frozen=True)
class EntityScores:
    """Scores of whole entities: type and both boundaries must be right.

    ``micro`` counts all entities alike; ``word_accuracy`` is the share of words with the gold tag.
    """

    micro: Scores
    per_type: dict[str, Scores]
    word_accuracy: float


def classification_scores(gold: Sequence[str], predicted: Sequence[str]) -> ClassificationScores:
    """Scores of predicted classes.

    Raises:
        ValueError: the two are not equally long, or empty.
    """
    _same_length(gold, predicted)
    right = Counter(a for a, b in zip(gold, predicted, strict=True) if a == b)
    per_class = {
        name: _scores(right[name], Counter(predicted)[name], Counter(gold)[name])
        for name in sorted({*gold, *predicted})
    }
    return ClassificationScores(
        accuracy=sum(right.values()) / len(gold),
        macro_f1=sum(scores.f1 for scores in per_class.values()) / len(per_class),
        per_class=per_class,
    )


def entity_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str | None]]
) -> EntityScores:
    """Scores of predicted BIO tags, sentence by sentence.

    A word without a prediction (``None``: cut off by truncation) counts as outside of entities, so
    that its entity is missed, and as a wrong tag whatever the gold one is.

    Raises:
        ValueError: the two are not equally long, or a sentence has not one tag per word.
    """
    _same_length(gold, predicted)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("right", "found", "gold")}
    words = right_words = 0
    for tags, guesses in zip(gold, predicted, strict=True):
        truth = set(entities(tags))
        found = set(entities([OUTSIDE if guess is None else guess for guess in guesses]))
        for kind, spans in (("right", truth & found), ("found", found), ("gold", truth)):
            counts[kind].update(span[0] for span in spans)
        words += len(tags)
        right_words += sum(a == b for a, b in zip(tags, guesses, strict=True))
    kinds = sorted({*counts["gold"], *counts["found"]})
    return EntityScores(
        micro=_scores(*(counts[kind].total() for kind in ("right", "found", "gold"))),
        per_type={
            kind: _scores(counts["right"][kind], counts["found"][kind], counts["gold"][kind])
            for kind in kinds
        },
        word_accuracy=right_words / words if words else 0.0,
    )


def _scores(right: int, found: int, gold: int) -> Scores:
    precision = right / found if found else 0.0
    recall = right / gold if gold else 0.0
    both = precision + recall
    return Scores(precision, recall, 2 * precision * recall / both if both else 0.0, gold)


def _same_length(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted) or not gold:
        raise ValueError(f"{len(gold)} gold labels for {len(predicted)} predictions")
