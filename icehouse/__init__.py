"""Icehouse: read text once with a frozen BERT, train recurrent heads on cached hidden states.

A face for notebooks, over the rooms of ``pipeline/``; no ``params.yaml``, DVC or stage is needed:

    import icehouse

    features = icehouse.open_features("data/features/news")
    head = icehouse.Head(task="sequence_classification", layers=[-1]).fit(features, labels)
    head.evaluate()
    head.save("models/mine")
    icehouse.load("models/mine").predict(["some text"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icehouse.head import Head, load
    from pipeline.core.errors import IcehouseError
    from pipeline.corpus.storage import read_labels
    from pipeline.corpus.texts import TextPair
    from pipeline.features.reader import open_features

__all__ = ["Head", "IcehouseError", "TextPair", "load", "open_features", "read_labels"]

_PLACES = {
    "Head": "icehouse.head",
    "IcehouseError": "pipeline.core.errors",
    "TextPair": "pipeline.corpus.texts",
    "load": "icehouse.head",
    "open_features": "pipeline.features.reader",
    "read_labels": "pipeline.corpus.storage",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the command ``icehouse`` starts without torch and h5py."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
