"""Rows of dev and test as people read them: what is true, what the head says, how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.spans import OUTSIDE, entities
from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text, TextPair
from pipeline.evaluation.predictions import SPLITS, Predictions
from pipeline.report.confusion import CellPlace, Matrix
from pipeline.report.segments import MOST_WORDS, Segment, entity_segments, tag_segments
from pipeline.tasks.pairs import NONE, PAIRS

MOST_EXAMPLES = 1000
"""Of a head in the page; the wrong ones come first."""

MOST_CHARACTERS = 600
"""Of a text in the page."""


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


@dataclass(frozen=True)
class _Read:
    """What a kind of label gives for a row."""

    right: bool
    sure: float | None
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    segments: tuple[Segment, ...] = ()
    more_words: int = 0


def examples(
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
        labels: the column that the head learns.
        predictions: by id.
        matrix: of the test split, where there is one.
        texts: by id; empty where texts are left out.
        most: rows that are kept.
    """
    read = _READ[labels.kind]
    rows: list[Example] = []
    for row_id, split, gold in zip(labels.ids, labels.splits, labels.values, strict=True):
        if split not in SPLITS:
            continue
        row = predictions[row_id]
        found = read(gold, row, texts.get(row_id))
        cells: tuple[CellPlace, ...] = ()
        if matrix is not None and split == "test":
            pairs = PAIRS[labels.kind]([gold], [row])
            cells = tuple(sorted({matrix.place(pair) for pair in pairs}))
        rows.append(
            Example(
                row_id,
                split,
                found.right,
                found.sure,
                found.gold,
                found.predicted,
                cells,
                found.segments,
                found.more_words,
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


def _class(gold: Any, row: Mapping[str, Any], _text: object) -> _Read:
    label = row["label"]
    return _Read(label == gold, row["probabilities"][label], (gold,), (label,))


def _classes(gold: Any, row: Mapping[str, Any], _text: object) -> _Read:
    predicted, probabilities = set(row["labels"]), row["probabilities"]
    # A label that the head does not know has no probability: it is sure that it is absent.
    sure = {
        name: probabilities[name] if name in predicted else 1 - probabilities.get(name, 0.0)
        for name in {*probabilities, *gold}
    }
    wrong = [sure[name] for name in predicted ^ set(gold)]
    return _Read(
        not wrong,
        max(wrong) if wrong else min(sure.values(), default=None),
        tuple(gold),
        tuple(row["labels"]),
    )


def _number(gold: Any, row: Mapping[str, Any], _text: object) -> _Read:
    value = row["value"]
    return _Read(value == gold, abs(value - gold), (f"{gold:.4g}",), (f"{value:.4g}",))


def _bio(gold: Any, row: Mapping[str, Any], text: Text | None) -> _Read:
    def kinds(tags: Sequence[str | None]) -> list[str]:
        return [span[0] for span in entities([tag or OUTSIDE for tag in tags])]

    return _tagged(gold, row, text, entity_segments, kinds)


def _tags(gold: Any, row: Mapping[str, Any], text: Text | None) -> _Read:
    wrong = {place for place, tag in enumerate(gold) if tag != row["tags"][place]}

    def differing(tags: Sequence[str | None]) -> list[str]:
        return [tag or NONE for place, tag in enumerate(tags) if place in wrong]

    return _tagged(gold, row, text, tag_segments, differing)


def _tagged(
    gold: Sequence[str],
    row: Mapping[str, Any],
    text: Text | None,
    cut: Callable[[Sequence[str], Sequence[str], Sequence[str | None]], list[Segment]],
    named: Callable[[Sequence[str | None]], list[str]],
) -> _Read:
    tags: list[str | None] = row["tags"]
    sure: list[float | None] = row["probabilities"]
    known = [number for number in sure if number is not None]
    wrong = [
        number or 0.0 for tag, guess, number in zip(gold, tags, sure, strict=True) if tag != guess
    ]
    segments: list[Segment] = []
    more = 0
    if isinstance(text, tuple):
        more = max(0, len(text) - MOST_WORDS)
        segments = cut(text[:MOST_WORDS], gold[:MOST_WORDS], tags[:MOST_WORDS])
    return _Read(
        not wrong,
        max(wrong) if wrong else min(known, default=None),
        tuple(named(gold)),
        tuple(named(tags)),
        tuple(segments),
        more,
    )


_READ: dict[str, Callable[[Any, Mapping[str, Any], Text | None], _Read]] = {
    "class": _class,
    "classes": _classes,
    "number": _number,
    "tags": _tags,
    "bio": _bio,
}
