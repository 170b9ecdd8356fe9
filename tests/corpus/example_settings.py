"""Corpus settings that tests vary, read as ``params.yaml`` is read."""

from __future__ import annotations

import json
from typing import Any

from pipeline.corpus.settings import CorpusSettings

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


def corpus_settings(base: dict[str, Any], **changes: Any) -> CorpusSettings:
    return CorpusSettings.model_validate_json(json.dumps({**base, **changes}))
