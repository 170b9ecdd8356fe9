"""Metrics as pure functions of gold and predicted labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.corpus.spans import OUTSIDE, entities


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


@dataclass(frozen=True)
class TagScores:
    """Scores of one plain tag per word.

    ``macro_f1`` is the unweighted mean over the tags that occur in gold or predictions.
    """

    word_accuracy: float
    macro_f1: float
    per_tag: dict[str, Scores]


def classification_scores(gold: Sequence[str], predicted: Sequence[str]) -> ClassificationScores:
    """Scores of predicted classes.

    Raises:
        ValueError: the two are not equally long, or empty.
    """
    _same_length(gold, predicted)
    per_class = _per_name(gold, predicted)
    return ClassificationScores(
        accuracy=sum(a == b for a, b in zip(gold, predicted, strict=True)) / len(gold),
        macro_f1=mean_f1(per_class),
        per_class=per_class,
    )


def tag_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str | None]]
) -> TagScores:
    """Scores of predicted plain tags, word by word.

    A word without a prediction (``None``: cut off by truncation) counts as wrong. Without a word,
    both scores are 0.

    Raises:
        ValueError: the two are not equally long, or a sentence has not one tag per word.
    """
    _same_length(gold, predicted)
    pairs = [
        pair
        for tags, guesses in zip(gold, predicted, strict=True)
        for pair in zip(tags, guesses, strict=True)
    ]
    per_tag = _per_name([tag for tag, _ in pairs], [guess for _, guess in pairs])
    return TagScores(
        word_accuracy=sum(tag == guess for tag, guess in pairs) / max(len(pairs), 1),
        macro_f1=mean_f1(per_tag),
        per_tag=per_tag,
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
        micro=scores(*(counts[kind].total() for kind in ("right", "found", "gold"))),
        per_type={
            kind: scores(counts["right"][kind], counts["found"][kind], counts["gold"][kind])
            for kind in kinds
        },
        word_accuracy=right_words / words if words else 0.0,
    )


def scores(right: int, found: int, gold: int) -> Scores:
    """Precision, recall and F1 from counts; each is 0 where it would divide by 0."""
    precision = right / found if found else 0.0
    recall = right / gold if gold else 0.0
    both = precision + recall
    return Scores(precision, recall, 2 * precision * recall / both if both else 0.0, gold)


def mean_f1(per_name: Mapping[str, Scores]) -> float:
    """Macro F1: the unweighted mean over names, 0 where there is none."""
    return sum(row.f1 for row in per_name.values()) / max(len(per_name), 1)


def _per_name(gold: Sequence[str], predicted: Sequence[str | None]) -> dict[str, Scores]:
    """Scores of each name that occurs; ``None`` is no name."""
    right = Counter(a for a, b in zip(gold, predicted, strict=True) if a == b)
    found, truth = Counter(predicted), Counter(gold)
    names = sorted({*truth, *(name for name in found if name is not None)})
    return {name: scores(right[name], found[name], truth[name]) for name in names}


def _same_length(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted) or not gold:
        raise ValueError(f"{len(gold)} gold labels for {len(predicted)} predictions")
