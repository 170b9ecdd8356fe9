"""Column features of Hugging Face ``datasets``: names of classes that are stored as numbers.

``datasets`` writes its features as JSON, in the metadata of Parquet files too: of a column of
classes ``{"_type": "ClassLabel", "names": [...]}``, and of a list of them ``{"_type": "Sequence",
"feature": {...}}`` (``List`` since version 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.reading import parse_json


def class_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of the classes of each column that holds classes, or lists of them."""
    found: dict[str, list[str]] = {}
    for column, feature in features.items():
        inner = feature
        while isinstance(inner, Mapping) and isinstance(inner.get("feature"), Mapping):
            inner = inner["feature"]
        if isinstance(inner, Mapping) and inner.get("_type") == "ClassLabel":
            names = inner.get("names")
            found[column] = [str(name) for name in names] if isinstance(names, list) else []
    return found


def features_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """The features in the metadata of an Arrow schema; empty where ``datasets`` wrote none."""
    try:
        features = parse_json((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def named(value: Any, names: Sequence[str]) -> Any:
    """A class by its name, where it is the number of one; -1 (no class) becomes ``None``."""
    if isinstance(value, list):
        return [named(item, names) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < len(names):
            return names[value]
        return None if value == -1 else value
    return value
