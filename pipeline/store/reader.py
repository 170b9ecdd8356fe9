"""Reads features: lazily, memory-mapped, and never through the virtual datasets.

The shards' own files are opened, because a virtual dataset reads a missing shard as its fill value
without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pipeline.errors import StoreError
from pipeline.files import sha256_file
from pipeline.store import layout
from pipeline.store.manifest import Manifest, ShardEntry, read_manifest


def open_features(path: str | Path) -> Features:
    """Opens ``data/features/<features>``.

    Raises:
        StoreError: there are no complete features of a known version.
    """
    return Features(Path(path))


class Features:
    """The hidden states of one corpus under one encoder.

    Rows are the distinct inputs; the example table maps every example to its row. Files are opened
    when first asked for, so that an object may be handed to worker processes before its first use.

    Example:
        >>> features = open_features("data/features/tweets")
        >>> states = features.states("17", layer=features.layers[-1])  # (tokens, width) float32
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers kept, in ascending order."""
        return self.manifest.layers

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.manifest.width

    @cached_property
    def example_ids(self) -> list[str]:
        """Id of every example, in corpus order."""
        with self._open(layout.ENTRANCE, layout.TYPE_ENTRANCE) as file:
            ids: list[str] = file[layout.EXAMPLES_ID].asstr()[()].tolist()
        return ids

    @cached_property
    def example_rows(self) -> npt.NDArray[np.int64]:
        """(examples,) int64: the row of every example."""
        with self._open(layout.ENTRANCE, layout.TYPE_ENTRANCE) as file:
            rows: npt.NDArray[np.int64] = file[layout.EXAMPLES_ROW][()]
        return rows

    @cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(rows + 1,) int64: the first token of every row, then the number of tokens."""
        with self._open(layout.ENTRANCE, layout.TYPE_ENTRANCE) as file:
            offsets: npt.NDArray[np.int64] = file[layout.ROWS_OFFSETS][()]
        return offsets

    def per_token(self, name: str) -> npt.NDArray[Any]:
        """(tokens, ...) one of ``input_ids``, ``segment_ids``, ``word_index``, ``char_offsets``."""
        return self._concatenate(name)

    def per_row(self, name: str) -> npt.NDArray[Any]:
        """(rows, ...) one of ``row_keys``, ``row_full_length``, ``row_words``."""
        return self._concatenate(name)

    def layer_shards(self, layer: int) -> list[npt.NDArray[Any]]:
        """One layer as memory maps, one per shard: (tokens, width) in the stored precision.

        Raises:
            StoreError: the layer is not kept, or a shard is missing or not of the shape it must be.
        """
        if layer not in self.layers:
            kept = ", ".join(map(str, self.layers))
            raise StoreError(f"{self.folder}: keeps no layer {layer}; it keeps {kept}")
        return [self._map(shard, layer) for shard in self.manifest.shards]

    def states(self, example_id: str, *, layer: int) -> npt.NDArray[np.float32]:
        """(tokens, width) float32: the states of one example at one layer, specials included.

        Raises:
            KeyError: there is no such example.
            StoreError: the layer is not kept.
        """
        row = int(self.example_rows[self._positions[example_id]])
        begin, end = self.row_offsets[row : row + 2]
        first = 0
        for shard, mapped in zip(self.manifest.shards, self.layer_shards(layer), strict=True):
            if begin < first + shard.tokens:
                states: npt.NDArray[np.float32] = mapped[begin - first : end - first].astype(
                    np.float32
                )
                return states
            first += shard.tokens
        raise StoreError(f"{self.folder}: row {row} lies beyond the last shard")

    def check(self, layers: Sequence[int]) -> None:
        """Compares the files that training on ``layers`` reads with their digests.

        Raises:
            StoreError: a file is missing or not the one that was written.
        """
        wanted = {layout.TOKENS, *(layout.layer_file(layer) for layer in layers)}
        expected = {layout.ENTRANCE: self.manifest.entrance_sha256}
        for shard in self.manifest.shards:
            for file in sorted(wanted & set(shard.files)):
                expected[layout.shard_path(shard.name, file)] = shard.files[file]
        for name, digest in expected.items():
            path = self.folder / name
            if not path.is_file():
                raise StoreError(f"{path}: is missing; run `dvc checkout` or `dvc pull`")
            if sha256_file(path) != digest:
                raise StoreError(f"{path}: is damaged; its bytes are not those that were written")

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {example: position for position, example in enumerate(self.example_ids)}

    def _concatenate(self, name: str) -> npt.NDArray[Any]:
        parts = []
        for shard in self.manifest.shards:
            file_name = layout.shard_path(shard.name, layout.TOKENS)
            with self._open(file_name, layout.TYPE_TOKENS) as file:
                parts.append(file[name][()])
        return np.concatenate(parts)

    def _map(self, shard: ShardEntry, layer: int) -> npt.NDArray[Any]:
        name = layout.shard_path(shard.name, layout.layer_file(layer))
        with self._open(name, layout.TYPE_LAYER) as file:
            dataset = file[layout.HIDDEN]
            shape, dtype, offset = dataset.shape, dataset.dtype, dataset.id.get_offset()
        expected = ((shard.tokens, self.width), np.dtype(self.manifest.dtype))
        if (shape, dtype) != expected or offset is None:
            raise StoreError(f"{self.folder / name}: does not hold {expected[0]} {expected[1]}")
        return np.memmap(self.folder / name, dtype, "r", offset, shape)

    def _open(self, name: str, kind: str) -> h5py.File:
        path = self.folder / name
        try:
            file = h5py.File(path, "r")
        except FileNotFoundError:
            raise StoreError(f"{path}: is missing; run `dvc checkout` or `dvc pull`") from None
        except OSError as error:
            raise StoreError(f"{path}: cannot be read as HDF5: {error}") from None
        found = (
            file.attrs.get(layout.ATTRIBUTE_TYPE),
            file.attrs.get(layout.ATTRIBUTE_VERSION),
        )
        if found != (kind, layout.FORMAT_VERSION):
            file.close()
            raise StoreError(
                f"{path}: holds {found[0]} version {found[1]}, not {kind} version "
                f"{layout.FORMAT_VERSION}; extract again with `dvc repro`"
            )
        return file
