"""The files of a prepared corpus: ``texts.jsonl``, and apart from it the labels.

``texts.jsonl``   one line per row: ``{"id": ..., "text": ...}``, of a pair with ``"text_b": ...``
                  too, or ``{"id": ..., "words": [...]}``.
``labels.jsonl``  one line per row, same order: ``{"id": ..., "split": ..., "labels": {...}}``.
``labels.json``   the kind of each label, and the SHA-256 of the text file that the rows belong to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sys import intern
from typing import Any, Literal

from pipeline.core.errors import DataError
from pipeline.core.reading import Record, open_regular, parse_json, parse_record, read_bytes
from pipeline.corpus.spans import not_bio
from pipeline.corpus.texts import Text, TextPair, parts

TEXTS = "texts.jsonl"
LABELS = "labels.jsonl"
LABELS_META = "labels.json"

LARGEST_NUMBER = 3.4e38
"""Of labels that are numbers: heads learn them in float32."""

_MOST_BYTES = 1 << 27
"""Bytes of a row; ingest takes rows of 16 million characters, some of which JSON escapes."""

Kind = Literal["class", "classes", "number", "tags", "bio"]


class _Meta(Record):
    texts_sha256: str
    kinds: dict[str, Kind]


@dataclass(frozen=True)
class Labels:
    """One label column of a prepared corpus, row by row in the order of the text file.

    ``kind`` says what ``values`` holds per row: ``class``, a name; ``classes``, a sorted tuple of
    names without doubles; ``number``, a float; ``tags`` and ``bio``, a tuple with one tag per word.
    Equal names and tuples are one object in memory.
    """

    ids: list[str]
    splits: list[str]
    values: list[Any]
    kind: str
    texts_sha256: str


def read_texts(folder: Path) -> Iterator[tuple[str, Text]]:
    """Yields ``(id, text, words or pair)`` in order.

    Raises:
        DataError: the text file is absent or damaged.
    """
    path = folder / TEXTS
    for number, row in _rows(path):
        if row.keys() == _TEXT and type(row["text"]) is str:
            text: Text = row["text"]
        elif row.keys() == _WORDS and _is_strings(row["words"]):
            text = tuple(row["words"])
        elif row.keys() == _PAIR and type(row["text"]) is type(row["text_b"]) is str:
            text = TextPair(row["text"], row["text_b"])
        else:
            raise _damaged(path, number, "it is no row of an id and a text, words, or a pair")
        yield row["id"], text


def texts_of(folder: Path, labels: Labels) -> list[Text]:
    """Reads the inputs that labels belong to, in their order.

    Raises:
        DataError: the text file is absent or damaged, or has other rows.
    """
    ids, texts = [], []
    for row_id, text in read_texts(folder):
        ids.append(row_id)
        texts.append(text)
    tagged = zip(texts, labels.values, strict=False) if labels.kind in ("tags", "bio") else ()
    if ids != labels.ids or any(len(parts(text)) != len(tags) for text, tags in tagged):
        raise DataError(f"{folder / TEXTS}: not the rows of the labels; run `dvc repro`")
    return texts


def read_labels(folder: str | Path, label: str) -> Labels:
    """Reads one label column.

    Raises:
        DataError: the files are absent or damaged, or have no such column.
    """
    folder = Path(folder)
    meta = _meta(folder / LABELS_META)
    if label not in meta.kinds:
        raise DataError(f"{folder}: has no label {label!r}; it has {', '.join(meta.kinds)}")
    kind = meta.kinds[label]
    path = folder / LABELS
    ids, splits, values = [], [], []
    several: dict[tuple[str, ...], tuple[str, ...]] = {}
    for number, row in _rows(path):
        if row.keys() != _LABELS or type(row["labels"]) is not dict:
            raise _damaged(path, number, "it is no row of an id, a split and labels")
        split, value = row["split"], row["labels"].get(label)
        if not _fits(value, meta.kinds[label]):
            raise _damaged(path, number, f"its {label!r} is not of kind {kind!r}")
        if type(split) is not str or not is_split(split):
            raise _damaged(path, number, f"there is no split {str(split)[:60]!r}")
        if type(value) is list:
            value = tuple(map(intern, value))
            if value not in several:  # many texts have no entity, say
                if kind == "bio" and (wrong := not_bio(value)):
                    raise _damaged(path, number, f"{wrong[0][:60]!r} is no tag of an entity")
                several[value] = value
            value = several[value]
        ids.append(row["id"])
        splits.append(intern(split))
        values.append(intern(value) if type(value) is str else value)
    return Labels(ids, splits, values, kind, meta.texts_sha256)


_TEXT = {"id", "text"}
_WORDS = {"id", "words"}
_PAIR = {"id", "text", "text_b"}
_LABELS = {"id", "split", "labels"}


def is_split(name: str) -> bool:
    """Whether a split may be called so: ``train``, ``dev``, ``test``, or ``fold_1`` and so on."""
    return _SPLIT.fullmatch(name) is not None


_SPLIT = re.compile(r"train|dev|test|fold_([1-9][0-9]?|100)")


def _fits(value: Any, kind: Kind) -> bool:
    if kind == "class":
        return type(value) is str
    if kind == "number":
        return type(value) in (float, int) and abs(value) <= LARGEST_NUMBER
    return _is_strings(value)


def _is_strings(values: Any) -> bool:
    return type(values) is list and set(map(type, values)) <= {str}


def _meta(path: Path) -> _Meta:
    try:
        return parse_record(_Meta, read_bytes(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except ValueError as error:
        raise _damaged(path, 0, str(error)) from None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields ``(line, row)``: an object with an id, and nothing else checked yet."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    with file:
        # Only "\n" ends a row: JSON escapes it inside strings, but not the other separators.
        for number, line in enumerate(iter(partial(file.readline, _MOST_BYTES), b""), start=1):
            try:
                row = parse_json(line)
            except ValueError as error:
                raise _damaged(path, number, str(error)) from None
            if type(row) is not dict or type(row.get("id")) is not str or "\0" in row["id"]:
                raise _damaged(path, number, "it is no object with an id")
            yield number, row


def _damaged(path: Path, line: int, why: str) -> DataError:
    place = f"{path}:{line}" if line else str(path)
    return DataError(f"{place}: is damaged: {why}; `dvc checkout` or `dvc repro` brings it back")
