"""The feature store: hidden states of many rows in HDF5, addressed by content.

For notebooks: ``pipeline.store.open_features("data/features/tweets")``.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Imported when asked for: writing a store must not depend on the code that reads it.
    if name == "open_features":
        from pipeline.store.reader import open_features

        return open_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
