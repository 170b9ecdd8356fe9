"""The files of a prepared corpus: ``texts.jsonl``, and apart from it the labels.

``texts.jsonl``   one line per row: ``{"id": ..., "text": ...}``, of a pair with ``"text_b": ...``
                  too, or ``{"id": ..., "words": [...]}``.
``labels.jsonl``  one line per row, same order: ``{"id": ..., "split": ..., "labels": {...}}``.
``labels.json``   the kind of each label, and the SHA-256 of the text file that the rows belong to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from pipeline.core.errors import DataError
from pipeline.corpus.texts import Text, TextPair

TEXTS = "texts.jsonl"
LABELS = "labels.jsonl"
LABELS_META = "labels.json"


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
        DataError: the text file is absent.
    """
    for row in _rows(folder / TEXTS):
        if "text_b" in row:
            yield row["id"], TextPair(row["text"], row["text_b"])
        else:
            yield row["id"], row["text"] if "text" in row else tuple(row["words"])


def read_labels(folder: str | Path, label: str) -> Labels:
    """Reads one label column.

    Raises:
        DataError: the files are absent, or have no such column.
    """
    folder = Path(folder)
    meta_path = folder / LABELS_META
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{meta_path}: no such file; run `dvc repro`") from None
    if label not in meta["kinds"]:
        raise DataError(f"{folder}: has no label {label!r}; it has {', '.join(meta['kinds'])}")
    kind = meta["kinds"][label]
    ids, splits, values = [], [], []
    several: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in _rows(folder / LABELS):
        value: Any = row["labels"][label]
        if isinstance(value, list):
            value = tuple(map(intern, value))
            value = several.setdefault(value, value)  # many texts have no entity, say
        ids.append(row["id"])
        splits.append(intern(row["split"]))
        values.append(intern(value) if isinstance(value, str) else value)
    return Labels(ids, splits, values, kind, meta["texts_sha256"])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        # Only "\n" ends a row: JSON escapes it inside strings, but not the other separators.
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield json.loads(line)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
