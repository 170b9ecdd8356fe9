"""What a head got wrong, for people to read: the surest mistakes first.

A mistake that a head is sure of is often a label that is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text, fields

Found: TypeAlias = tuple[float, dict[str, Any]]
"""How grave a mistake is, and the fields that describe it."""


def mistakes(
    labels: Labels,
    texts: Sequence[Text],
    by_id: Mapping[str, Mapping[str, Any]],
    splits: Sequence[str],
) -> list[dict[str, Any]]:
    """Every predicted row that differs from its label, the most confident ones first.

    Args:
        labels: the head's label column.
        texts: the inputs, row by row as the labels.
        by_id: checked predictions by id.
        splits: the splits to look at.

    Returns:
        Rows ready for JSON: ``id``, ``split``, ``text`` (of a pair ``text_b`` too) or ``words``,
        ``gold`` and ``predicted``, and

        * of a class, ``confidence``: the probability of the class that was predicted;
        * of sets of labels, ``confidence`` of each label that is missed or spurious: how sure the
          head was that it is absent, or there; the row counts as its surest wrong label;
        * of a number, ``error``: predicted minus gold; the largest comes first;
        * of tags, ``confidence``, ``gold`` and ``predicted`` of each word; a word without a
          prediction has none, and the row counts as its surest wrong word.
    """
    compare = _COMPARE[labels.kind]
    rows: list[tuple[float, dict[str, Any]]] = []
    for row_id, split, text, gold in zip(
        labels.ids, labels.splits, texts, labels.values, strict=True
    ):
        found = compare(gold, by_id[row_id]) if split in splits else None
        if found is not None:
            grave, description = found
            rows.append((grave, {"id": row_id, "split": split, **fields(text), **description}))
    return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]


def _class(gold: Any, row: Mapping[str, Any]) -> Found | None:
    predicted = row["label"]
    if predicted == gold:
        return None
    confidence = row["probabilities"][predicted]
    return confidence, {"gold": gold, "predicted": predicted, "confidence": confidence}


def _classes(gold: Any, row: Mapping[str, Any]) -> Found | None:
    predicted = set(row["labels"])
    # A label that the head does not know has no probability: it is sure to be missed.
    confidence = {
        name: row["probabilities"][name]
        if name in predicted
        else round(1 - row["probabilities"].get(name, 0.0), 6)
        for name in sorted(predicted ^ set(gold))
    }
    if not confidence:
        return None
    description = {"gold": gold, "predicted": row["labels"], "confidence": confidence}
    return max(confidence.values()), description


def _number(gold: Any, row: Mapping[str, Any]) -> Found | None:
    error = row["value"] - gold
    if not error:
        return None
    known = error if math.isfinite(error) else None  # two floats may be further apart than any is
    return abs(error), {"gold": gold, "predicted": row["value"], "error": known}


def _tags(gold: Any, row: Mapping[str, Any]) -> Found | None:
    differing = [
        sure or 0.0
        for tag, guess, sure in zip(gold, row["tags"], row["probabilities"], strict=True)
        if tag != guess
    ]
    if not differing:
        return None
    confidence = row["probabilities"]
    return max(differing), {"gold": gold, "predicted": row["tags"], "confidence": confidence}


_COMPARE: dict[str, Callable[[Any, Mapping[str, Any]], Found | None]] = {
    "class": _class,
    "classes": _classes,
    "number": _number,
    "tags": _tags,
    "bio": _tags,
}
