"""Writer of prepared corpora; ``pipeline/corpus/storage.py`` describes the files and reads them."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.files import (
    atomic_directory,
    atomic_file,
    canonical_json,
    readable_json,
    sha256_file,
)
from pipeline.corpus.storage import LABELS, LABELS_META, TEXTS
from pipeline.corpus.texts import fields
from pipeline.ingest.counts import LabelCounts
from pipeline.ingest.prepare import PreparedCorpus
from pipeline.ingest.rows import Example


def write_corpus(texts: Path, labels: Path, corpus: PreparedCorpus) -> LabelCounts:
    """Writes the text file and the two label files, all or none, reading the rows once.

    Returns:
        The labels of each split, counted, for the report.
    """
    counts = corpus.label_counts()
    with atomic_file(texts / TEXTS) as text_path, atomic_directory(labels) as folder:
        with (
            text_path.open("w", encoding="utf-8", newline="\n") as text_file,
            (folder / LABELS).open("w", encoding="utf-8", newline="\n") as label_file,
        ):
            for example, split in corpus.rows(counts):
                text_file.write(_text_row(example))
                label_file.write(_label_row(example, split))
        _write_meta(folder, corpus, sha256_file(text_path))
    return counts


def write_texts(folder: Path, corpus: PreparedCorpus) -> str:
    """Writes ``texts.jsonl`` alone and returns its SHA-256."""
    path = folder / TEXTS
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        file.writelines(_text_row(example) for example, _ in corpus.rows())
    return sha256_file(path)


def write_labels(folder: Path, corpus: PreparedCorpus, *, texts_sha256: str) -> None:
    """Writes the two label files alone, as one folder."""
    with atomic_directory(folder) as temporary:
        with (temporary / LABELS).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_label_row(example, split) for example, split in corpus.rows())
        _write_meta(temporary, corpus, texts_sha256)


def _text_row(example: Example) -> str:
    return canonical_json({"id": example.id, **fields(example.text)}) + "\n"


def _label_row(example: Example, split: str) -> str:
    row = {"id": example.id, "split": split, "labels": dict(example.labels)}
    return canonical_json(row) + "\n"


def _write_meta(folder: Path, corpus: PreparedCorpus, texts_sha256: str) -> None:
    meta = {"texts_sha256": texts_sha256, "kinds": corpus.kinds}
    (folder / LABELS_META).write_text(readable_json(meta), encoding="utf-8")
