"""What a head got wrong, for people to read: the surest mistakes first.

A mistake that a head is sure of is often a label that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.corpus.records import Text, fields
from pipeline.corpus.storage import Labels


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
        by_id: predictions by id, with ``label`` or ``tags``, and their ``probabilities``.
        splits: the splits to look at.

    Returns:
        Rows ready for JSON: ``id``, ``split``, ``text`` (of a pair ``text_b`` too) or ``words``,
        ``gold``, ``predicted`` and ``confidence``. For tags the last four have an entry per word,
        and a word without a prediction has none.
    """
    rows: list[tuple[float, dict[str, Any]]] = []
    for row_id, split, text, gold in zip(
        labels.ids, labels.splits, texts, labels.values, strict=True
    ):
        if split not in splits:
            continue
        prediction = by_id[row_id]
        probabilities = prediction["probabilities"]
        predicted: Any
        confidence: Any
        if isinstance(gold, str):
            predicted = prediction["label"]
            confidence = surest = probabilities[predicted]
            wrong = predicted != gold
        else:
            predicted, confidence = prediction["tags"], probabilities
            differing = [
                sure or 0.0
                for tag, guess, sure in zip(gold, predicted, confidence, strict=True)
                if tag != guess
            ]
            wrong, surest = bool(differing), max(differing, default=0.0)
        if wrong:
            rows.append(
                (
                    surest,
                    {
                        "id": row_id,
                        "split": split,
                        **fields(text),
                        "gold": gold,
                        "predicted": predicted,
                        "confidence": confidence,
                    },
                )
            )
    return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
