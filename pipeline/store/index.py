"""Finds rows by key in the shards that a store holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pipeline.store import layout

FindFile = Callable[[str, str], Path | None]
"""Gives the path of a shard's file, or ``None`` where it is absent or damaged."""


class RowIndex:
    """Finds rows by key over several shards.

    Memory: 64 bytes per stored row, and an open memory map per shard and layer read from.

    Args:
        shards: names of shards.
        file: where their files are.
    """

    def __init__(self, shards: Sequence[str], file: FindFile) -> None:
        self._file = file
        tokens = {shard: path for shard in shards if (path := file(shard, layout.TOKENS))}
        self._shards = list(tokens)
        self._tokens = list(tokens.values())
        keys = [read_keys(path) for path in self._tokens]
        counts = [len(part) for part in keys]
        self._keys = np.concatenate([np.zeros((0, layout.KEY_BYTES), np.uint8), *keys])
        self._shard_of = np.repeat(np.arange(len(counts)), counts)
        self._row_of = np.concatenate([np.arange(count) for count in [0, *counts]])
        prefixes = np.ascontiguousarray(self._keys[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        self._order = np.argsort(prefixes, kind="stable")
        self._prefixes = prefixes[self._order]
        self._maps: dict[tuple[int, int], npt.NDArray[Any] | None] = {}
        self._offsets: dict[int, npt.NDArray[np.int64]] = {}

    def find(self, key: bytes, layer: int) -> tuple[int, int] | None:
        """The shard (its position) and its row that hold ``key`` at ``layer``, if any does."""
        prefix = np.uint64(int.from_bytes(key[:8], "big"))
        position = int(np.searchsorted(self._prefixes, prefix))
        while position < len(self._prefixes) and self._prefixes[position] == prefix:
            entry = int(self._order[position])
            shard = int(self._shard_of[entry])
            if self._keys[entry].tobytes() == key and self._map(shard, layer) is not None:
                return shard, int(self._row_of[entry])
            position += 1
        return None

    def states(self, key: bytes, layer: int) -> npt.NDArray[Any]:
        """(tokens, width) in storage precision: a stored row.

        Raises:
            KeyError: no shard holds it.
        """
        found = self.find(key, layer)
        mapped = None if found is None else self._map(found[0], layer)
        if found is None or mapped is None:
            raise KeyError(key.hex())
        shard, row = found
        if shard not in self._offsets:
            self._offsets[shard] = _read(self._tokens[shard], layout.ROW_OFFSETS)
        begin, end = self._offsets[shard][row : row + 2]
        states: npt.NDArray[Any] = mapped[begin:end]
        return states

    def _map(self, shard: int, layer: int) -> npt.NDArray[Any] | None:
        if (shard, layer) not in self._maps:
            path = self._file(self._shards[shard], layout.layer_file(layer))
            self._maps[shard, layer] = map_dataset(path, layout.HIDDEN) if path else None
        return self._maps[shard, layer]


def read_keys(path: Path) -> npt.NDArray[np.uint8]:
    """(rows, 32) uint8: the keys of a shard's rows, from its ``tokens.h5``."""
    return _read(path, layout.ROW_KEYS)


def map_dataset(path: Path, name: str) -> npt.NDArray[Any]:
    """A contiguous dataset as a read-only memory map.

    Raises:
        ValueError: the dataset is not stored contiguously.
    """
    with h5py.File(path, "r") as file:
        dataset = file[name]
        shape, dtype, offset = dataset.shape, dataset.dtype, dataset.id.get_offset()
    if offset is None:
        raise ValueError(f"{path}: {name} is not contiguous")
    return np.memmap(path, dtype, "r", offset, shape)


def _read(path: Path, name: str) -> npt.NDArray[Any]:
    with h5py.File(path, "r") as file:
        values: npt.NDArray[Any] = file[name][()]
    return values
