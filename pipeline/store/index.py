"""Finds rows by key in the shards that a store holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pipeline.features import layout

FindFile = Callable[[str, str], Path | None]
"""Gives the path of a shard's file, or ``None`` where it is absent or damaged."""

_SHARDS_HELD = 16
"""Shards whose tokens stay in memory; rows mostly stand where they stood before."""


class RowIndex:
    """Finds rows by key over several shards.

    Memory: 80 bytes per stored row, the tokens of a few shards, and an open memory map per shard
    and layer read from.

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
        self._offsets = [_read(path, layout.ROW_OFFSETS) for path in self._tokens]
        full = [_read(path, layout.ROW_FULL_LENGTH) for path in self._tokens]
        counts = [len(part) for part in keys]
        self._keys = np.concatenate([np.zeros((0, layout.KEY_BYTES), np.uint8), *keys])
        self._full_lengths = np.concatenate([np.zeros(0, np.int32), *full])
        self._shard_of = np.repeat(np.arange(len(counts)), counts)
        self._row_of = np.concatenate([np.arange(count) for count in [0, *counts]])
        prefixes = np.ascontiguousarray(self._keys[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        self._order = np.argsort(prefixes, kind="stable")
        self._prefixes = prefixes[self._order]
        self._maps: dict[tuple[int, int], npt.NDArray[Any] | None] = {}
        self._read_tokens = lru_cache(_SHARDS_HELD)(self._shard_tokens)

    def lengths(self, key: bytes) -> tuple[int, int] | None:
        """Tokens of a row, and its tokens before truncation; ``None`` where no shard has it."""
        for entry in self._entries(key):
            _, begin, end = self._place(entry)
            return end - begin, int(self._full_lengths[entry])
        return None

    def tokens(self, key: bytes) -> dict[str, Any] | None:
        """Arrays of a row but for its states, by the names of ``tokens.h5`` without ``row_``.

        Per-token arrays of (tokens,) or (tokens, 2), and the numbers ``full_length`` and ``words``.
        """
        for entry in self._entries(key):
            shard, begin, end = self._place(entry)
            held = self._read_tokens(shard)
            return {
                **{name: held[name][begin:end] for name in layout.PER_TOKEN},
                "full_length": int(self._full_lengths[entry]),
                "words": int(held[layout.ROW_WORDS][self._row_of[entry]]),
            }
        return None

    def find(self, key: bytes, layer: int) -> tuple[int, int] | None:
        """The shard (its position) and its row that hold ``key`` at ``layer``, if any does."""
        for entry in self._entries(key):
            shard = int(self._shard_of[entry])
            if self._map(shard, layer) is not None:
                return shard, int(self._row_of[entry])
        return None

    def states(self, key: bytes, layer: int) -> npt.NDArray[Any]:
        """(tokens, width) in storage precision: a stored row.

        Raises:
            KeyError: no shard holds it.
        """
        for entry in self._entries(key):
            shard, begin, end = self._place(entry)
            mapped = self._map(shard, layer)
            if mapped is not None:
                states: npt.NDArray[Any] = mapped[begin:end]
                return states
        raise KeyError(key.hex())

    def _entries(self, key: bytes) -> Iterator[int]:
        """Places of a key: in several shards, one in each."""
        prefix = np.uint64(int.from_bytes(key[:8], "big"))
        position = int(np.searchsorted(self._prefixes, prefix))
        while position < len(self._prefixes) and self._prefixes[position] == prefix:
            entry = int(self._order[position])
            if self._keys[entry].tobytes() == key:
                yield entry
            position += 1

    def _place(self, entry: int) -> tuple[int, int, int]:
        """The shard of a row, and its first token there and the one after its last."""
        shard, row = int(self._shard_of[entry]), int(self._row_of[entry])
        begin, end = self._offsets[shard][row : row + 2]
        return shard, int(begin), int(end)

    def _shard_tokens(self, shard: int) -> dict[str, npt.NDArray[Any]]:
        with h5py.File(self._tokens[shard], "r") as file:
            return {name: file[name][()] for name in (*layout.PER_TOKEN, layout.ROW_WORDS)}

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
