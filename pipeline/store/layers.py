"""Layers counted from either end, resolved once, where the encoder's depth is known."""

from __future__ import annotations


def resolve_layer(layer: int, depth: int) -> int | None:
    """The index of a layer that may be counted from the end; ``None`` where there is none.

    Args:
        layer: 0 for the embeddings, k for encoder layer k, -1 for the last.
        depth: encoder layers of the model.
    """
    resolved = layer if layer >= 0 else depth + 1 + layer
    return resolved if 0 <= resolved <= depth else None
