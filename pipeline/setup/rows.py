"""The rows of ``features`` and ``heads`` that a new corpus begins with, and all values in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from pipeline.corpus.texts import Text, parts
from pipeline.features.layers import spread_layers
from pipeline.ingest.settings import STORED_KIND, CorpusSettings
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.registry import default_label_type

TEXT_LAYERS = 3
"""Layers, spread evenly over the encoder's depth, that are read for labels of texts."""

LAST_LAYERS = [-4, -3, -2, -1]
"""Layers of an encoder whose depth is not known yet; hardly any has fewer."""

MAX_LENGTH = 128
STRIDE = 32
_SHORT = 4 * MAX_LENGTH
"""Characters of a text that is about as long as ``MAX_LENGTH`` tokens are."""

_MOST_LONG = 0.05
"""Share of texts that may be cut."""

_LONGEST = 80
"""Characters of the name of a head's row, which is one of files, too."""

_MANY_BYTES = 100_000_000

ENTITIES: dict[str, Any] = {
    "combine": "mix",
    "subwords": "first",
    "scheme": "bio",
    "crf": True,
    "hidden_size": 256,
    "dropout": 0.5,
}
"""How entities are read, and the network; its other settings are those of every head."""

TAGS: dict[str, Any] = {**ENTITIES, "scheme": None, "crf": False}
"""The same of plain tags."""

TEXTS: dict[str, Any] = {
    "combine": "concat",
    "pooling": "mean_max",
    "hidden_size": 128,
    "dropout": 0.5,
}
"""How texts are read, short ones and long ones."""


def are_long(texts: Iterable[Text]) -> bool:
    """Whether too many texts would be cut, were they not read in windows."""
    long = [sum(len(part) + 1 for part in parts(text)) > _SHORT for text in texts]
    return sum(long) > _MOST_LONG * len(long)


def default_layers(settings: CorpusSettings, depth: int | None) -> dict[str, list[int]]:
    """Layers that the head of each label reads.

    Args:
        settings: of the corpus.
        depth: encoder layers, where they are known.
    """
    return {
        label: _layers(depth, on_words=default_label_type(STORED_KIND[kind]).on_words)
        for label, kind in settings.labels.items()
    }


def _layers(depth: int | None, *, on_words: bool) -> list[int]:
    """Layers spread over the depth; for labels of words, one more below them."""
    if depth is None:
        return list(LAST_LAYERS) if on_words else LAST_LAYERS[-TEXT_LAYERS:]
    layers = spread_layers(depth, TEXT_LAYERS)
    lower = layers[0] // 2
    return [lower, *layers] if on_words and lower else layers


def kept_layers(layers: Iterable[Sequence[int]]) -> list[int]:
    """All layers that heads read, in order."""
    return sorted({layer for own in layers for layer in own})


def features_row(
    corpus: str,
    encoder: str,
    *,
    layers: Iterable[Sequence[int]],
    long: bool,
    pairs: bool,
    raw_bytes: int,
) -> dict[str, Any]:
    """A row of ``features``.

    Args:
        corpus: the corpus.
        encoder: the encoder.
        layers: that heads read; all of them are kept.
        long: whether texts are longer than ``MAX_LENGTH``: then they are read in windows.
        pairs: whether texts are pairs: then they are read apart, and compared.
        raw_bytes: size of the corpus.
    """
    reading: dict[str, Any] = {"long_texts": "truncate"}
    if long:
        reading = {"long_texts": "window", "stride": STRIDE}
    return {
        "corpus": corpus,
        "encoder": encoder,
        "layers": kept_layers(layers),
        "max_length": MAX_LENGTH,
        **reading,
        **({"pairs": "apart"} if pairs else {}),
        "storage_dtype": "float16",
        # Shards of a few texts are good for edits; of millions of texts, they would be too many.
        "shard_tokens": 4096 if raw_bytes < _MANY_BYTES else 65536,
    }


def head_rows(
    corpus: str, settings: CorpusSettings, layers: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, Any]]:
    """Rows of ``heads``, one for each label, by names that differ.

    Args:
        corpus: the corpus, whose features row has the same name.
        settings: of the corpus.
        layers: that are read, by label.
    """
    heads: dict[str, dict[str, Any]] = {}
    for label, kind in settings.labels.items():
        base = re.sub(r"[^a-z0-9]+", "_", f"{corpus}_{label}".lower()).strip("_")[:_LONGEST]
        name = next(name for name in _numbered(base) if name not in heads)
        heads[name] = head_row(corpus, corpus, label, STORED_KIND[kind], layers=layers[label])
    return heads


def _numbered(name: str) -> Iterator[str]:
    """Yields the name, and then with numbers behind it."""
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def head_row(
    corpus: str,
    features: str,
    label: str,
    stored_kind: str,
    *,
    layers: Sequence[int],
) -> dict[str, Any]:
    """A row of ``heads``.

    Args:
        corpus: the corpus.
        features: its features row.
        label: what is learnt.
        stored_kind: of the label.
        layers: that are read; the features row keeps them.
    """
    label_type = default_label_type(stored_kind)
    own = _reading(label_type)
    network = {name: own.pop(name) for name in ("hidden_size", "dropout")}
    return {
        "corpus": corpus,
        "features": features,
        "label": label,
        "task": label_type.task,
        "layers": list(layers),
        **own,
        "recurrent": {
            "cell": "lstm",
            "num_layers": 1,
            "bidirectional": True,
            **network,
            "locked_dropout": False,
        },
        "training": {
            "epochs": 10,
            "batch_size": 16 if label_type.on_words else 32,
            "learning_rate": 0.001,
            "schedule": "constant",
            "warmup": 0,
            "weight_decay": 0.01,
            "gradient_clip": 1.0,
            "class_weights": None,
            "metric": label_type.metrics[0],
            "patience": 3,
            "seeds": [13],
        },
    }


def _reading(label_type: LabelType) -> dict[str, Any]:
    if not label_type.on_words:
        return dict(TEXTS)
    return dict(TAGS if label_type.scheme is None else ENTITIES)
