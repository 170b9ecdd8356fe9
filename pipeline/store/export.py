"""Features as one HDF5 file to give away: the index file's layout, with nothing left outside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from pipeline.core.files import atomic_file, canonical_json
from pipeline.features import layout
from pipeline.features.reader import Features
from pipeline.store.writer import write_example_rows


def export_features(
    features: Features,
    path: Path,
    *,
    layers: Sequence[int],
    progress: Callable[[int], object],
) -> None:
    """Writes examples, tokens and layers into one file, shard by shard.

    The paths in the file are those of ``features.h5``; the root attribute ``recipe`` says what
    computed the states.

    Args:
        features: what to write.
        path: the file; what was there before is replaced when the new one is complete.
        layers: which of the kept layers go into it.
        progress: told the tokens of each shard and layer written.

    Raises:
        StoreError: a layer is not kept, or a shard is missing.
    """
    for layer in layers:
        features.layer_shards(layer)  # whatever is missing is found before anything is written
    with (
        atomic_file(path) as temporary,
        h5py.File(temporary, "w", libver=layout.LIBVER, track_order=False) as file,
    ):
        file.attrs[layout.ATTRIBUTE_TYPE] = layout.TYPE_EXPORT
        file.attrs[layout.ATTRIBUTE_VERSION] = np.int64(layout.FORMAT_VERSION)
        file.attrs["recipe"] = canonical_json(features.manifest.recipe)
        file.attrs["texts_sha256"] = features.manifest.texts_sha256
        ids = np.array(features.example_ids, object)
        file.create_dataset(layout.EXAMPLES_ID, data=ids, dtype=h5py.string_dtype())
        write_example_rows(file, features.example_rows)
        file.create_dataset(layout.ROWS_OFFSETS, data=features.row_offsets)
        file.create_dataset(layout.ROWS_KEYS, data=features.per_row(layout.ROW_KEYS))
        for name in layout.PER_TOKEN:
            file.create_dataset(layout.token_path(name), data=features.per_token(name))
        for layer in layers:
            shape = (features.manifest.tokens, features.width)
            target = file.create_dataset(layout.layer_path(layer), shape, features.manifest.dtype)
            start = 0
            for states in features.layer_shards(layer):
                target[start : start + len(states)] = states
                start += len(states)
                progress(len(states))
