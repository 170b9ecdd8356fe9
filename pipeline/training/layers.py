"""The layers that a head or a probe reads, counted from the start."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import StoreError, TrainingError
from pipeline.store.layers import resolve_layer
from pipeline.store.reader import Features


def kept_layers(layers: Sequence[int], features: Features) -> list[int]:
    """Layers that may be counted from the end, resolved.

    Raises:
        StoreError: the features do not keep one of them.
        TrainingError: two of them are the same.
    """
    resolved = []
    for layer in layers:
        index = resolve_layer(layer, features.manifest.depth)
        if index is None or index not in features.layers:
            raise StoreError(
                f"layer {layer} is not kept by {features.folder}: it keeps "
                f"{', '.join(map(str, features.layers))}; add it to the features' layers"
            )
        if index in resolved:
            raise TrainingError(f"layers: {layer} is layer {index}, which is named already")
        resolved.append(index)
    return resolved
