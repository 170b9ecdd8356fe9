"""Mistakes of a head, for people to read: the surest first.

A mistake that a head is sure of is often a label that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text, fields
from pipeline.tasks.label_type import LabelType


def mistakes(
    label_type: LabelType,
    labels: Labels,
    texts: Sequence[Text],
    by_id: Mapping[str, Mapping[str, Any]],
    splits: Sequence[str],
) -> list[dict[str, Any]]:
    """Every predicted row that differs from its label, the most confident ones first.

    Args:
        label_type: what the head learnt.
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
    rows: list[tuple[float, dict[str, Any]]] = []
    for row_id, split, text, gold in zip(
        labels.ids, labels.splits, texts, labels.values, strict=True
    ):
        if split not in splits:
            continue
        found = label_type.compare(gold, by_id[row_id])
        if not found.correct:
            description = {"id": row_id, "split": split, **fields(text), **found.mistake}
            rows.append((found.confidence or 0.0, description))
    return [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
