"""Corpus settings that tests vary, read as ``params.yaml`` is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.ingest.formats import RawCorpus, read_examples
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings

SPLIT = {"train": 0.8, "dev": 0.1, "test": 0.1}
JSONL: dict[str, Any] = {
    "path": "data/raw/corpus.jsonl",
    "format": "jsonl",
    "id": "id",
    "text": "text",
    "labels": {"topic": "class"},
    "split": SPLIT,
    "stratify": None,
    "seed": 1,
}
PAIRS: dict[str, Any] = {**JSONL, "text": "premise", "text_b": "hypothesis"}
CONLL: dict[str, Any] = {
    "path": "data/raw/corpus.conll",
    "format": "conll",
    "columns": ["word", "tag"],
    "id": None,
    "words": "word",
    "labels": {"tag": "iob2"},
    "split": SPLIT,
    "stratify": None,
    "seed": 1,
}


TABLE: dict[str, Any] = {**JSONL, "path": "data/raw/corpus.csv", "format": "csv"}


def corpus_settings(base: dict[str, Any], **changes: Any) -> CorpusSettings:
    return CorpusSettings.model_validate_json(json.dumps({**base, **changes}))


def read(path: Path, content: str | bytes, base: dict[str, Any], **changes: Any) -> list[Example]:
    """The examples of a file with this content, which must have no problem."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_examples(path, corpus_settings(base, **changes))


def problems(path: Path, content: str | bytes, base: dict[str, Any], **changes: Any) -> list[str]:
    """The problems of a file with this content, each without its folder."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    corpus = RawCorpus(path, corpus_settings(base, **changes))
    for _ in corpus:
        pass
    return [line.replace(f"{path.parent}/", "") for line in corpus.problems.lines()]
