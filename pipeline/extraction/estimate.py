"""Cost of keeping one more layer, in disk and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.core.errors import StoreError
from pipeline.features import layout
from pipeline.features.manifest import Manifest, read_manifest
from pipeline.store.local import LocalStore


def cost_of_layer(features: Path, layer: int, *, store_root: Path) -> str:
    """Disk and time that adding a layer takes, in words; what is not known is left out.

    Args:
        features: the folder of the features row, which may not exist yet.
        layer: the layer to add, counted from the start.
        store_root: the local store, whose log says how fast rows were computed here.
    """
    try:
        manifest = read_manifest(features)
    except StoreError:
        return "disk and time are known after the first extraction"
    size = manifest.tokens * manifest.width * np.dtype(manifest.dtype).itemsize
    words = f"about {size / 1e6:.0f} MB of disk"
    rate = _seconds_per_token_and_layer(store_root, manifest)
    if rate is not None:
        words += f" and {max(1.0, rate * manifest.tokens * (layer + 1)):.0f} s of encoding"
    return words


def _seconds_per_token_and_layer(store_root: Path, manifest: Manifest) -> float | None:
    store = LocalStore(store_root / manifest.recipe_digest()[: layout.NAME_DIGITS])
    work, seconds = 0, 0.0
    for entry in store.read_log():
        match entry:
            case {
                "tokens": int(tokens),
                "layers": [*_, int(deepest)],
                "seconds": int(spent) | float(spent),
            } if 0 < tokens < layout.MOST_TOKENS and 0 <= deepest <= layout.MOST_LAYERS:
                work += tokens * (deepest + 1)
                seconds += max(spent, 0)
    return seconds / work if work else None
