"""The rows of ``features`` and ``heads`` that a new corpus begins with."""

from __future__ import annotations

from typing import Any

TASK_OF = {
    "class": "sequence_classification",
    "classes": "multilabel_classification",
    "number": "regression",
    "tags": "token_classification",
    "bio": "token_classification",
}
"""The task that learns each stored kind of label."""

_METRIC_OF = {
    "class": "macro_f1",
    "classes": "macro_f1",
    "number": "spearman",
    "tags": "word_accuracy",
    "bio": "entity_f1",
}

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
    task = TASK_OF[stored_kind]
    on_words = task == "token_classification"
    reading: dict[str, Any] = {"pooling": "cls"}
    if on_words:
        scheme = "bio" if stored_kind == "bio" else None
        reading = {"subwords": "first", "scheme": scheme, "crf": False}
    return {
        "corpus": corpus,
        "features": features,
        "label": label,
        "task": task,
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
            "metric": _METRIC_OF[stored_kind],
            "patience": 3,
            "seeds": [13],
        },
    }
