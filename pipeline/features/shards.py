"""Shards: the files of a folder, each checked as a whole before any of it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.features import layout
from pipeline.features.hdf5 import Hdf5File

_AT_A_TIME = 4096


@dataclass(frozen=True)
class ShardTokens:
    """Content of one shard's ``tokens.h5``.

    Attributes:
        per_token: by dataset name, (tokens,) or (tokens, 2) arrays of the shard's rows end to end.
        row_offsets: (rows + 1,) int64, first token of each row, then the number of tokens.
        row_keys: (rows, 32) uint8.
        row_full_length: (rows,) int32, tokens before truncation.
        row_words: (rows,) int32, words before truncation.
    """

    per_token: Mapping[str, npt.NDArray[Any]]
    row_offsets: npt.NDArray[np.int64]
    row_keys: npt.NDArray[np.uint8]
    row_full_length: npt.NDArray[np.int32]
    row_words: npt.NDArray[np.int32]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row_keys)

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return len(self.per_token[layout.INPUT_IDS])

    def column(self, name: str) -> npt.NDArray[Any]:
        """A dataset by its name."""
        held: npt.NDArray[Any] = (
            self.per_token[name] if name in self.per_token else getattr(self, name)
        )
        return held


def read_tokens(path: Path, *, shard: str, follow: bool = True) -> ShardTokens:
    """Reads a ``tokens.h5``.

    Args:
        path: the file.
        shard: the name of its shard, which its rows decide.
        follow: whether it may be a symbolic link; never in a store.

    Raises:
        StoreError: it is missing, or is not as the format says.
        OSError: the system cannot read it.
    """
    with Hdf5File(path, layout.TYPE_TOKENS, follow=follow) as file:
        rows, tokens = file.length(layout.ROW_WORDS), file.length(layout.INPUT_IDS)
        held = ShardTokens(
            per_token={name: read_column(file, name, tokens) for name in layout.PER_TOKEN},
            row_offsets=file.array(layout.ROW_OFFSETS, (rows + 1,), np.int64),
            row_keys=read_column(file, layout.ROW_KEYS, rows),
            row_full_length=read_column(file, layout.ROW_FULL_LENGTH, rows),
            row_words=read_column(file, layout.ROW_WORDS, rows),
        )
        if problem := _problem(held, shard):
            raise file.damaged(problem)
    return held


def read_column(file: Hdf5File, name: str, count: int) -> npt.NDArray[Any]:
    """A dataset of a ``tokens.h5`` that has a value for each of its tokens, or rows.

    Raises:
        StoreError: it is not as the format says.
    """
    shape, dtype = (layout.PER_TOKEN | layout.PER_ROW)[name]
    return file.array(name, (count, *shape), dtype)


def map_layer(
    path: Path, layer: int, *, tokens: int, width: int, dtype: str, follow: bool = True
) -> npt.NDArray[Any]:
    """(tokens, width) the states of one layer of a shard, as a read-only memory map.

    Raises:
        StoreError, OSError: as ``read_tokens``.
    """
    with Hdf5File(path, layout.TYPE_LAYER, follow=follow) as file:
        found = file.attribute(layout.ATTRIBUTE_LAYER)
        if found != layer:
            raise file.damaged(f"it holds layer {found!s:.40}")
        return file.mapped(layout.HIDDEN, (tokens, width), dtype)


def all_finite(states: npt.NDArray[Any]) -> bool:
    """Whether all of (tokens, width) states are finite; reads a part at a time."""
    return all(
        bool(np.isfinite(states[begin : begin + _AT_A_TIME]).all())
        for begin in range(0, len(states), _AT_A_TIME)
    )


def offsets_problem(offsets: npt.NDArray[np.int64], tokens: int) -> str | None:
    """What is wrong with (rows + 1,) offsets into some tokens, if anything is."""
    if offsets[0] != 0 or offsets[-1] != tokens or (offsets[1:] < offsets[:-1]).any():
        return "the offsets of rows do not ascend from 0 to the number of tokens"
    return None


def name_of(keys: npt.NDArray[np.uint8]) -> str:
    """The name of the shard with these (rows, 32) row keys."""
    return hashlib.sha256(keys.tobytes()).hexdigest()[: layout.NAME_DIGITS]


def _problem(held: ShardTokens, shard: str) -> str | None:
    if problem := offsets_problem(held.row_offsets, held.tokens):
        return problem
    if name_of(held.row_keys) != shard:
        return "its rows are not those of the shard's name"
    if held.rows and min(held.row_words.min(), held.row_full_length.min()) < 0:
        return "a row has less than no words or tokens"
    segments = held.per_token[layout.SEGMENT_IDS]
    if held.tokens and (segments.min() < 0 or segments.max() > 1):
        return "a segment is neither 0 nor 1"
    return _words_problem(held)


def _words_problem(held: ShardTokens) -> str | None:
    """Tokens name a word of their own row, and those of one word stand side by side."""
    words = held.per_token[layout.WORD_INDEX]
    row_of = np.repeat(np.arange(held.rows), np.diff(held.row_offsets))
    if (words < -1).any() or (words >= held.row_words[row_of]).any():
        return "a token is of a word that its row does not have"
    begins = np.ones(len(words), bool)
    begins[1:] = (words[1:] != words[:-1]) | (row_of[1:] != row_of[:-1])
    begins &= words >= 0
    runs = row_of[begins] << 32 | words[begins]
    ascend = bool((runs[1:] > runs[:-1]).all())  # nearly always, and quickly told
    if not ascend and len(np.unique(runs)) != len(runs):
        return "the tokens of a word do not stand side by side"
    return None
