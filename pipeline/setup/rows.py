"""The rows of ``features`` and ``heads`` that a new corpus begins with."""

from __future__ import annotations

from typing import Any

from pipeline.tasks.registry import default_label_type

_MANY_BYTES = 100_000_000


def features_row(corpus: str, encoder: str, *, raw_bytes: int) -> dict[str, Any]:
    """A row of ``features``: the last layer, texts cut at 128 tokens."""
    return {
        "corpus": corpus,
        "encoder": encoder,
        "layers": [-1],
        "max_length": 128,
        "long_texts": "truncate",
        "storage_dtype": "float16",
        # Shards of a few texts are good for edits; of millions of texts, they would be too many.
        "shard_tokens": 4096 if raw_bytes < _MANY_BYTES else 65536,
    }


def head_row(corpus: str, features: str, label: str, stored_kind: str) -> dict[str, Any]:
    """A row of ``heads`` like the default ones."""
    label_type = default_label_type(stored_kind)
    on_words = label_type.on_words
    reading: dict[str, Any] = {"pooling": "cls"}
    if on_words:
        reading = {"subwords": "first", "scheme": label_type.scheme, "crf": False}
    return {
        "corpus": corpus,
        "features": features,
        "label": label,
        "task": label_type.task,
        "layers": [-1],
        "combine": "concat",
        **reading,
        "recurrent": {
            "cell": "lstm",
            "hidden_size": 128,
            "num_layers": 1,
            "bidirectional": True,
            "dropout": 0.3,
            "locked_dropout": False,
        },
        "training": {
            "epochs": 10,
            "batch_size": 16 if on_words else 32,
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
