"""Precision, recall and F1 from counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 of one label or entity type, and how often it occurs in gold."""

    precision: float
    recall: float
    f1: float
    support: int


def scores(tp: int, pred: int, support: int) -> Scores:
    """Scores from counts: true positives, predictions, and gold; 0 where one would divide by 0."""
    return Scores(
        precision=tp / pred if pred else 0.0,
        recall=tp / support if support else 0.0,
        f1=2 * tp / (pred + support) if pred + support else 0.0,
        support=support,
    )


def scores_by_name(gold: Sequence[str], predicted: Sequence[str | None]) -> dict[str, Scores]:
    """Scores of each name that occurs in gold or predictions; ``None`` is no name.

    Raises:
        ValueError: the two are not equally long.
    """
    tp = Counter(a for a, b in zip(gold, predicted, strict=True) if a == b)
    pred, support = Counter(predicted), Counter(gold)
    names = sorted({*support, *(name for name in pred if name is not None)})
    return {name: scores(tp[name], pred[name], support[name]) for name in names}
