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
from typing import TYPE_CHECKING, Any

from pipeline.corpus.records import Label, Text, TextPair, fields
from pipeline.errors import DataError
from pipeline.files import atomic_directory, atomic_file, canonical_json, readable_json, sha256_file

if TYPE_CHECKING:
    from pipeline.corpus.prepare import PreparedCorpus

TEXTS = "texts.jsonl"
LABELS = "labels.jsonl"
LABELS_META = "labels.json"


@dataclass(frozen=True)
class Labels:
    """One label column of a prepared corpus, row by row in the order of the text file.

    ``values`` holds a class name per row, or a tuple with one tag per word.
    """

    ids: list[str]
    splits: list[str]
    values: list[Label]
    kind: str
    texts_sha256: str


def write_texts(folder: Path, corpus: PreparedCorpus) -> str:
    """Writes ``texts.jsonl`` and returns its SHA-256."""
    path = folder / TEXTS
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for row_id, text in zip(corpus.ids, corpus.texts, strict=True):
            file.write(canonical_json({"id": row_id, **fields(text)}) + "\n")
    return sha256_file(path)


def write_labels(folder: Path, corpus: PreparedCorpus, *, texts_sha256: str) -> None:
    """Writes the two label files as one folder."""
    with atomic_directory(folder) as temporary:
        with (temporary / LABELS).open("w", encoding="utf-8", newline="\n") as file:
            for row_id, split, labels in zip(corpus.ids, corpus.splits, corpus.labels, strict=True):
                file.write(canonical_json({"id": row_id, "split": split, "labels": labels}) + "\n")
        meta = {"texts_sha256": texts_sha256, "kinds": corpus.kinds}
        (temporary / LABELS_META).write_text(readable_json(meta), encoding="utf-8")


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


def read_labels(folder: Path, label: str) -> Labels:
    """Reads one label column.

    Raises:
        DataError: the files are absent, or have no such column.
    """
    meta_path = folder / LABELS_META
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{meta_path}: no such file; run `dvc repro`") from None
    if label not in meta["kinds"]:
        raise DataError(f"{folder}: has no label {label!r}; it has {', '.join(meta['kinds'])}")
    kind = meta["kinds"][label]
    ids, splits, values = [], [], []
    for row in _rows(folder / LABELS):
        value: Any = row["labels"][label]
        ids.append(row["id"])
        splits.append(row["split"])
        values.append(value if kind in ("class", "number") else tuple(value))
    return Labels(ids, splits, values, kind, meta["texts_sha256"])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        # Only "\n" ends a row: JSON escapes it inside strings, but not the other separators.
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield json.loads(line)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
