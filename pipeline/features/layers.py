"""Layers counted from either end, resolved once, where the encoder's depth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.errors import StoreError, TrainingError

if TYPE_CHECKING:
    from pipeline.features.reader import Features


def resolve_layer(layer: int, depth: int) -> int | None:
    """The index of a layer that may be counted from the end; ``None`` where there is none.

    Args:
        layer: 0 for the embeddings, k for encoder layer k, -1 for the last.
        depth: encoder layers of the model.
    """
    resolved = layer if layer >= 0 else depth + 1 + layer
    return resolved if 0 <= resolved <= depth else None


def spread_layers(depth: int, count: int) -> list[int]:
    """Layers spread evenly over the depth of an encoder, the last one among them.

    Args:
        depth: encoder layers of the model.
        count: how many, at the most.
    """
    count = min(count, depth)
    return [round(place * depth / count) for place in range(1, count + 1)]


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
