"""Files of features, built in memory: equal bytes for equal content.

A file that is built in memory can be hashed before it is written, and written in one go: what the
disk refuses is then an ordinary error, and never half an HDF5 file.
"""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
import numpy.typing as npt

from pipeline.features import layout
from pipeline.features.manifest import ShardEntry
from pipeline.features.shards import ShardTokens
from pipeline.store.image import HDF5Image


def row_offsets(lengths: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """(rows + 1,) int64: the first token of each row, then the number of tokens."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def key_array(keys: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """(rows, 32) uint8: row keys as a dataset holds them."""
    return np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), layout.KEY_BYTES)


def tokens_file(tokens: ShardTokens) -> bytes:
    """The bytes of a shard's ``tokens.h5``."""
    with HDF5Image(layout.TYPE_TOKENS) as file:
        for name in layout.PER_TOKEN:
            file.hdf5.create_dataset(name, data=tokens.per_token[name])
        file.hdf5.create_dataset(layout.ROW_OFFSETS, data=tokens.row_offsets)
        file.hdf5.create_dataset(layout.ROW_KEYS, data=tokens.row_keys)
        file.hdf5.create_dataset(layout.ROW_FULL_LENGTH, data=tokens.row_full_length)
        file.hdf5.create_dataset(layout.ROW_WORDS, data=tokens.row_words)
        return file.image()


def index_file(
    *,
    shards: Sequence[ShardEntry],
    layers: Sequence[int],
    width: int,
    dtype: npt.DTypeLike,
    example_ids: Sequence[str],
    example_rows: npt.NDArray[np.int64],
    row_offsets: npt.NDArray[np.int64],
    row_keys: npt.NDArray[np.uint8],
) -> bytes:
    """The bytes of ``features.h5``: the example table, and virtual datasets over the shards.

    A missing shard reads as NaN (states) or -9 (whole numbers): HDF5 does not say so itself.
    ``example_rows`` is (examples,), or (examples, 2) where the texts of pairs are apart.
    """
    with HDF5Image(layout.TYPE_INDEX_FILE) as writer:
        file = writer.hdf5
        file.create_dataset(
            layout.EXAMPLES_ID, data=np.array(example_ids, object), dtype=h5py.string_dtype()
        )
        write_example_rows(file, example_rows)
        file.create_dataset(layout.ROWS_OFFSETS, data=row_offsets)
        file.create_dataset(layout.ROWS_KEYS, data=row_keys)
        for name, (shape, dtype_) in layout.PER_TOKEN.items():
            _virtual(file, layout.token_path(name), shards, layout.TOKENS, name, shape, dtype_)
        for layer in layers:
            source = layout.layer_file(layer)
            _virtual(file, layout.layer_path(layer), shards, source, layout.HIDDEN, (width,), dtype)
        return writer.image()


def write_example_rows(file: h5py.File, example_rows: npt.NDArray[np.int64]) -> None:
    """Writes the rows of examples, (examples,), or (examples, 2) where pairs are apart."""
    if example_rows.ndim == 1:
        file.create_dataset(layout.EXAMPLES_ROW, data=example_rows)
        return
    for name, rows in zip(
        (layout.EXAMPLES_ROW, layout.EXAMPLES_ROW_B), example_rows.T, strict=True
    ):
        file.create_dataset(name, data=np.ascontiguousarray(rows))


def _virtual(
    file: h5py.File,
    name: str,
    shards: Sequence[ShardEntry],
    source_file: str,
    source_dataset: str,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
) -> None:
    """One dataset whose values stay in the shards' files."""
    dtype = np.dtype(dtype)
    virtual = h5py.VirtualLayout((sum(shard.tokens for shard in shards), *shape), dtype)
    # h5py turns this off for ordinary datasets only: the file would hold the time of its creation.
    virtual.dcpl.set_obj_track_times(False)
    start = 0
    for shard in shards:
        virtual[start : start + shard.tokens] = h5py.VirtualSource(
            layout.shard_path(shard.name, source_file),
            source_dataset,
            shape=(shard.tokens, *shape),
            dtype=dtype,
        )
        start += shard.tokens
    fill = np.nan if dtype.kind == "f" else layout.FILL_INTEGER
    file.create_virtual_dataset(name, virtual, fillvalue=fill)
