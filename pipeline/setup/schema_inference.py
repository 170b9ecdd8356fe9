"""Schema inference: which field of a corpus is what, guessed from its first rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.corpus.schemes import first_fault
from pipeline.ingest.settings import SCHEMES, LabelKind
from pipeline.ingest.split_settings import SplitName
from pipeline.setup.preview import FilePreview, split_called

_IDS = frozenset({"id", "_id", "uid", "guid", "idx", "sent_id", "doc_id"})
_SPLITS = frozenset({"split", "set", "part", "fold", "partition", "subset"})
_WORDS = frozenset({"words", "tokens", "form", "seq.in", "token", "word"})
_TEXTS = frozenset({"text", "sentence", "document", "content", "body", "review", "tweet"})
_PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("question1", "question2"),
    ("question", "answer"),
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FEW = 20
_MANY_WORDS = 2.0


@dataclass(frozen=True)
class InferredSchema:
    """Schema that the values of some rows suggest.

    Attributes:
        id: the field of ids.
        text: the field of raw text, if there are no words.
        text_b: that of the second text of a pair.
        words: the field of words.
        labels: the fields of labels, and their kinds.
        split_column: the field that says which split a row is in.
        split_names: what its values mean.
    """

    id: str | None = None
    text: str | None = None
    text_b: str | None = None
    words: str | None = None
    labels: dict[str, LabelKind] = field(default_factory=dict)
    split_column: str | None = None
    split_names: dict[str, SplitName] = field(default_factory=dict)


def infer_schema(preview: FilePreview) -> InferredSchema:
    """Guesses what each field is; fields that are nothing that heads know are left out."""
    values = dict(preview.values)
    cells = preview.format in ("csv", "tsv", "lines")
    row_id = next((n for n in values if n.lower() in _IDS and _unique(values[n])), None)
    values.pop(row_id or "", None)
    split_column, names = _split_column(values)
    values.pop(split_column or "", None)
    words = _words(values, cells=cells)
    text = text_b = None
    if words is None:
        text, text_b = _texts(values)
    labels: dict[str, LabelKind] = {}
    for name, column in values.items():
        if name in (text, text_b, words):
            continue
        in_words = values[words] if words is not None else None
        if kind := _kind(column, in_words, cells=cells):
            labels[name] = kind
    return InferredSchema(row_id, text, text_b, words, labels, split_column, names)


def _unique(column: Sequence[Any]) -> bool:
    return len({str(value) for value in column}) == len(column)


def _split_column(values: dict[str, list[Any]]) -> tuple[str | None, dict[str, SplitName]]:
    for name, column in values.items():
        found = {str(value) for value in column}
        splits = {value: split_called(value) for value in sorted(found)}
        known = {value: split for value, split in splits.items() if split is not None}
        if known.keys() == found and (len(found) > 1 or name.lower() in _SPLITS):
            # What the first rows do not show is likely to be called as it usually is.
            return name, known
    return None, {}


def _words(values: dict[str, list[Any]], *, cells: bool) -> str | None:
    """The field of words: lists of strings, or cells with as many words as another has tags."""
    lists = {name: _lists(column, cells=cells) for name, column in values.items()}
    candidates = [name for name, column in lists.items() if column is not None]
    for name in sorted(candidates, key=lambda name: name.lower() not in _WORDS):
        column = lists[name] or []
        if sum(map(len, column)) < _MANY_WORDS * len(column) and cells:
            continue
        for other in candidates:
            tags = lists[other] or []
            if other != name and [*map(len, tags)] == [*map(len, column)] and _varied(column, tags):
                return name
        if not cells and name.lower() in _WORDS:
            return name
    return None


def _varied(words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> bool:
    """Whether there are more different words than tags."""
    return len({w for row in words for w in row}) >= len({t for row in tags for t in row})


def _lists(column: Sequence[Any], *, cells: bool) -> list[list[str]] | None:
    if cells and all(isinstance(value, str) for value in column):
        return [value.split() for value in column]
    if all(isinstance(v, list | tuple) and all(isinstance(w, str) for w in v) for v in column):
        return [list(value) for value in column]
    return None


def _texts(values: dict[str, list[Any]]) -> tuple[str | None, str | None]:
    strings = {
        name: sum(map(len, column)) / max(len(column), 1)
        for name, column in values.items()
        if all(isinstance(value, str) for value in column) and not _numbers(column)
    }
    by_lower = {name.lower(): name for name in strings}
    for first, second in _PAIRS:
        if first in by_lower and second in by_lower:
            return by_lower[first], by_lower[second]
    named = [name for name in strings if name.lower() in _TEXTS]
    return max(named or strings, key=lambda name: strings[name], default=None), None


def _numbers(column: Sequence[Any]) -> bool:
    return all(isinstance(value, str) and _NUMBER.fullmatch(value.strip()) for value in column)


def _kind(column: Sequence[Any], words: Sequence[Any] | None, *, cells: bool) -> LabelKind | None:
    if words is not None:
        tags, inputs = _lists(column, cells=cells), _lists(words, cells=cells)
        if tags is not None and inputs is not None and [*map(len, tags)] == [*map(len, inputs)]:
            return _tag_kind(tags)
    if _lists(column, cells=False) is not None:
        return "classes"
    if any(isinstance(value, list | tuple | dict) or value in (None, "") for value in column):
        return None
    distinct = len({str(value) for value in column})
    numeric = _numbers(column) or all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in column
    )
    if numeric:
        fractions = any("." in str(value) for value in column)
        return "number" if fractions or distinct > _FEW else "class"
    longest = max(len(str(value)) for value in column)
    return "class" if longest < 60 and distinct <= max(_FEW, len(column) // 4) else None


def _tag_kind(rows: Sequence[Sequence[str]]) -> LabelKind:
    """The scheme that fits the sequences best; plain tags where none fits any."""
    if not any(tag[:2] in ("B-", "I-") for row in rows for tag in row):
        return "tags"
    faults = {
        kind: [fault for row in rows if (fault := first_fault(row, scheme))]
        for kind, scheme in SCHEMES.items()
    }
    fitting: list[LabelKind] = [
        kind for kind, found in faults.items() if all(fault.repairable for fault in found)
    ]
    # Of equals, the most usual: a file without two entities in a row may be iob1 and iob2.
    usual: tuple[LabelKind, ...] = ("iob2", "bioes", "iob1")
    return min(
        (kind for kind in usual if kind in fitting),
        key=lambda kind: len(faults[kind]),
        default="tags",
    )
