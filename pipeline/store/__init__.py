"""The local feature store: every shard computed here, shared by all experiments."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Older notebooks say `from pipeline.store import open_features`.
    if name == "open_features":
        from pipeline.features.reader import open_features

        return open_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
