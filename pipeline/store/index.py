"""Finds rows by key in the shards that a store holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.features import layout
from pipeline.features.shards import ShardTokens, map_layer, read_tokens

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
        width: of a state.
        dtype: of states, as stored.

    Raises:
        StoreError: a file is not as the format says.
    """

    def __init__(self, shards: Sequence[str], file: FindFile, *, width: int, dtype: str) -> None:
        self._file = file
        self._width = width
        self._dtype = dtype
        tokens = {shard: path for shard in shards if (path := file(shard, layout.TOKENS))}
        self._shards = list(tokens)
        self._tokens = list(tokens.values())
        self._offsets: list[npt.NDArray[np.int64]] = []
        keys: list[npt.NDArray[np.uint8]] = []
        full: list[npt.NDArray[np.int32]] = []
        for shard, path in tokens.items():
            held = _own_tokens(path, shard)
            self._offsets.append(held.row_offsets)
            keys.append(held.row_keys)
            full.append(held.row_full_length)
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
                **{name: held.per_token[name][begin:end] for name in layout.PER_TOKEN},
                "full_length": int(self._full_lengths[entry]),
                "words": int(held.row_words[self._row_of[entry]]),
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

    def _shard_tokens(self, shard: int) -> ShardTokens:
        return _own_tokens(self._tokens[shard], self._shards[shard])

    def _map(self, shard: int, layer: int) -> npt.NDArray[Any] | None:
        if (shard, layer) not in self._maps:
            path = self._file(self._shards[shard], layout.layer_file(layer))
            tokens = int(self._offsets[shard][-1])
            self._maps[shard, layer] = (
                map_layer(
                    path, layer, tokens=tokens, width=self._width, dtype=self._dtype, follow=False
                )
                if path
                else None
            )
        return self._maps[shard, layer]


def _own_tokens(path: Path, shard: str) -> ShardTokens:
    return read_tokens(path, shard=shard, follow=False)
