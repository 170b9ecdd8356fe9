"""Rows of dev and test as people read them: what is true, what the head says, how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text, TextPair
from pipeline.evaluation.predictions import SPLITS, Predictions
from pipeline.report.confusion import CellPlace, Matrix
from pipeline.report.segments import MOST_WORDS, Segment, entity_segments, tag_segments
from pipeline.tasks.label_type import LabelType

MOST_EXAMPLES = 1000
"""Most examples of a head in the page; the wrong ones come first."""

MOST_CHARACTERS = 600
"""Most characters of a text in the page."""


@dataclass(frozen=True)
class Example:
    """One row of dev or test.

    Attributes:
        right: whether the prediction is the label.
        sure: of a wrong row, the probability of its surest wrong part; of a right one, of its
            least sure part. Of a number, how far off it is.
        gold: what is true, in words; of tags, the types or wrong tags.
        predicted: the same, as the head has it.
        cells: of a row of test, the cells of the matrix that it is counted in, without doubles.
        segments: of tags, the sentence; else empty.
        more_words: how many words of it are not shown.
    """

    id: str
    split: str
    right: bool
    sure: float | None
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    cells: tuple[CellPlace, ...]
    segments: tuple[Segment, ...] = ()
    more_words: int = 0


def examples(
    label_type: LabelType,
    labels: Labels,
    predictions: Predictions,
    matrix: Matrix | None,
    texts: Mapping[str, Text],
    *,
    most: int = MOST_EXAMPLES,
) -> tuple[list[Example], int]:
    """The rows of dev and test that a page holds, and how many there are.

    Wrong rows come first, the surest before others; then right ones, the least sure before others.

    Args:
        label_type: what the head learns.
        labels: the column that the head learns.
        predictions: by id.
        matrix: of the test split, where there is one.
        texts: by id; empty where texts are left out.
        most: rows that are kept.
    """
    rows: list[Example] = []
    for row_id, split, gold in zip(labels.ids, labels.splits, labels.values, strict=True):
        if split not in SPLITS:
            continue
        row = predictions[row_id]
        found = label_type.compare(gold, row)
        segments, more = _segments(label_type, gold, row, texts.get(row_id))
        cells: tuple[CellPlace, ...] = ()
        if matrix is not None and split == "test":
            pairs = label_type.pairs([gold], [row])
            cells = tuple(sorted({matrix.place(pair) for pair in pairs}))
        rows.append(
            Example(
                row_id,
                split,
                found.correct,
                found.confidence,
                found.gold,
                found.predicted,
                cells,
                segments,
                more,
            )
        )
    return sorted(rows, key=_order)[:most], len(rows)


def shown_text(text: Text) -> tuple[str, ...]:
    """An input as a page shows it, long ones cut at a space: one text, or both of a pair."""
    if isinstance(text, TextPair):
        return _cut(text.first), _cut(text.second)
    return (_cut(text if isinstance(text, str) else " ".join(text)),)


def _cut(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return text[:MOST_CHARACTERS].rsplit(maxsplit=1)[0] + " …"


def _order(example: Example) -> tuple[bool, float, str]:
    sure = example.sure or 0.0
    return example.right, sure if example.right else -sure, example.id


def _segments(
    label_type: LabelType, gold: Any, row: Mapping[str, Any], text: Text | None
) -> tuple[tuple[Segment, ...], int]:
    """The sentence of tags as a page draws it, and how many words of it are not shown."""
    if not label_type.on_words or not isinstance(text, tuple):
        return (), 0
    cut = tag_segments if label_type.scheme is None else entity_segments
    segments = cut(text[:MOST_WORDS], gold[:MOST_WORDS], row["tags"][:MOST_WORDS])
    return tuple(segments), max(0, len(text) - MOST_WORDS)
