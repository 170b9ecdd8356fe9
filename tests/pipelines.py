"""A small corpus taken through prepare and extract, for tests of what comes after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from conftest import random_sentences

from pipeline.corpus.prepare import prepare
from pipeline.corpus.records import Example
from pipeline.corpus.settings import CorpusSettings, SplitSettings
from pipeline.corpus.storage import read_texts, write_labels, write_texts
from pipeline.extraction.run import extract
from pipeline.files import sha256_file
from pipeline.heads.settings import HeadSettings, Task
from pipeline.store.settings import FeaturesSettings

CORPUS = CorpusSettings(
    path="raw",
    format="jsonl",
    id="id",
    words="words",
    labels={"kind": "class", "tags": "iob2"},
    split=SplitSettings(train=0.6, dev=0.2, test=0.2),
    stratify="kind",
    seed=1,
)


def labelled(sentences: Sequence[tuple[str, ...]]) -> list[Example]:
    """Examples whose labels follow from their words, so that heads can learn them."""
    return [
        Example(
            id=f"s{number}",
            text=words,
            labels={
                "kind": "cold" if {"ice", "snow", "winter", "cold"} & set(words) else "other",
                "tags": tuple("B-beast" if w in ("wolf", "bear", "fox") else "O" for w in words),
            },
            line=number + 1,
        )
        for number, words in enumerate(sentences)
    ]


def prepared(folder: Path, examples: Sequence[Example] | None = None) -> Path:
    """Writes ``texts`` and ``labels`` of a corpus below ``folder``."""
    corpus = prepare(examples or labelled(random_sentences(120)), CORPUS)
    write_labels(folder / "labels", corpus, texts_sha256=write_texts(folder / "texts", corpus))
    return folder


def extracted(
    folder: Path,
    encoder: Path,
    *,
    store: Path | None = None,
    say: Callable[[str], object] = str,
    **settings: Any,
) -> Path:
    """Extracts the prepared corpus in ``folder`` into ``folder/features``."""
    values: dict[str, Any] = {
        "corpus": "c",
        "encoder": "e",
        "layers": (2, -1),
        "max_length": 48,
        "long_texts": "truncate",
        "storage_dtype": "float32",
        "shard_tokens": 512,
        **settings,
    }
    extract(
        lambda: read_texts(folder / "texts"),
        texts_sha256=sha256_file(folder / "texts" / "texts.jsonl"),
        encoder_folder=encoder,
        settings=FeaturesSettings(**values),
        store_root=store or folder / "store",
        project=folder,
        out=folder / "features",
        say=say,
    )
    return folder / "features"


def head_settings(task: Task, **changes: Any) -> HeadSettings:
    """A small head that trains in a moment."""
    sequence = task == "sequence_classification"
    values: dict[str, Any] = {
        "corpus": "c",
        "features": "f",
        "label": "kind" if sequence else "tags",
        "task": task,
        "layers": (-1,),
        "pooling": "cls" if sequence else None,
        "recurrent": {
            "cell": "lstm",
            "hidden_size": 16,
            "num_layers": 1,
            "bidirectional": True,
            "dropout": 0.2,
        },
        "training": {
            "epochs": 3,
            "batch_size": 8,
            "learning_rate": 0.01,
            "weight_decay": 0.01,
            "gradient_clip": 1.0,
            "patience": 3,
            "seed": 5,
        },
    }
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    return HeadSettings(**values)
