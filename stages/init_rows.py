"""The rows of ``features`` and ``heads`` that a new corpus begins with."""

from __future__ import annotations

from typing import Any

TASK_OF = {"class": "sequence_classification", "bio": "token_classification"}
"""The task that learns each stored kind of label; others have no head."""

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


def head_row(corpus: str, features: str, label: str, stored_kind: str) -> dict[str, Any] | None:
    """A row of ``heads`` like the default ones; ``None`` where no head learns the kind."""
    task = TASK_OF.get(stored_kind)
    if task is None:
        return None
    per_text = task == "sequence_classification"
    return {
        "corpus": corpus,
        "features": features,
        "label": label,
        "task": task,
        "layers": [-1],
        "pooling": "cls" if per_text else None,
        "recurrent": {
            "cell": "lstm",
            "hidden_size": 128,
            "num_layers": 1,
            "bidirectional": True,
            "dropout": 0.3,
        },
        "training": {
            "epochs": 10,
            "batch_size": 32 if per_text else 16,
            "learning_rate": 0.001,
            "weight_decay": 0.01,
            "gradient_clip": 1.0,
            "patience": 3,
            "seed": 13,
        },
    }
