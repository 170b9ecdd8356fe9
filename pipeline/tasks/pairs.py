"""Which ``(actual, predicted)`` pairs are drawn of each kind of label; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pipeline.corpus.spans import OUTSIDE

NONE = "(none)"
"""In pairs, what stands for a label that was missed, or given without being there."""

Pair: TypeAlias = tuple[str | float, str | float]
_Golds: TypeAlias = Sequence[Any]
_Rows: TypeAlias = Sequence[Mapping[str, Any]]


def _class_pairs(gold: _Golds, rows: _Rows) -> list[Pair]:
    return list(zip(gold, [row["label"] for row in rows], strict=True))


def _classes_pairs(gold: _Golds, rows: _Rows) -> list[Pair]:
    pairs: list[Pair] = []
    for labels, row in zip(gold, rows, strict=True):
        truth, found = set(labels), set(row["labels"])
        pairs += [
            (name if name in truth else NONE, name if name in found else NONE)
            for name in sorted(truth | found)
        ]
    return pairs


def _number_pairs(gold: _Golds, rows: _Rows) -> list[Pair]:
    return list(zip(gold, [row["value"] for row in rows], strict=True))


def _tags_pairs(gold: _Golds, rows: _Rows) -> list[Pair]:
    return [(tag, NONE if guess is None else guess) for tag, guess in _word_pairs(gold, rows)]


def _bio_pairs(gold: _Golds, rows: _Rows) -> list[Pair]:
    pairs = [(tag, guess or OUTSIDE) for tag, guess in _word_pairs(gold, rows)]
    return [(_type(a), _type(b)) for a, b in pairs if not a == b == OUTSIDE]


PAIRS: dict[str, Callable[[_Golds, _Rows], list[Pair]]] = {
    "class": _class_pairs,
    "classes": _classes_pairs,
    "number": _number_pairs,
    "tags": _tags_pairs,
    "bio": _bio_pairs,
}
"""By kind of label: pairs of rows, from their labels and predictions in one order."""


def _word_pairs(gold: _Golds, rows: _Rows) -> list[tuple[str, str | None]]:
    return [
        pair
        for tags, row in zip(gold, rows, strict=True)
        for pair in zip(tags, row["tags"], strict=True)
    ]


def _type(tag: str) -> str:
    return tag if tag == OUTSIDE else tag[2:]
