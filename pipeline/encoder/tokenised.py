"""Rows of tokens: one, and many of them in arrays that hold them end to end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

SPECIAL = -1
"""Word index and character offsets of tokens that stand for no text."""


@dataclass(frozen=True)
class TokenisedRow:
    """One input as the encoder reads it, special tokens included.

    Attributes:
        input_ids: (tokens,) int32.
        segment_ids: (tokens,) int8, 0, or 1 in the second text of a pair and after it.
        word_index: (tokens,) int32, the word that each token belongs to; -1 for special tokens. The
            words of a pair's second text are counted on from those of the first.
        char_offsets: (tokens, 2) int32, first character and the one after the last; in the token's
            own text, or in its own word where the input is words; (-1, -1) for special tokens.
            The space before a token is no part of it, and a token that is only spaces is empty.
        full_length: tokens of the whole input, specials included, before any truncation.
        words: words of the whole input; for raw text, those of the tokenizer's pre-tokenizer.
    """

    input_ids: npt.NDArray[np.int32]
    segment_ids: npt.NDArray[np.int8]
    word_index: npt.NDArray[np.int32]
    char_offsets: npt.NDArray[np.int32]
    full_length: int
    words: int

    @property
    def length(self) -> int:
        """Tokens of the row, special tokens included."""
        return len(self.input_ids)

    @classmethod
    def bare(
        cls, input_ids: npt.NDArray[np.int32], segment_ids: npt.NDArray[np.int8]
    ) -> TokenisedRow:
        """A row of tokens that come from no text: for an encoder there is nothing else to them."""
        nowhere = np.full((len(input_ids), 2), SPECIAL, np.int32)
        return cls(input_ids, segment_ids, nowhere[:, 0], nowhere, len(input_ids), 0)


@dataclass(frozen=True, eq=False)
class TokenisedRows(Sequence[TokenisedRow]):
    """Rows end to end, of which each is a view: a row of its own costs as much as its tokens do.

    Attributes:
        input_ids: (tokens,) int32.
        segment_ids: (tokens,) int8.
        word_index: (tokens,) int32.
        char_offsets: (tokens, 2) int32.
        lengths: (rows,) int64, tokens of each row.
        full_lengths: (rows,) int32.
        words: (rows,) int32.
    """

    input_ids: npt.NDArray[np.int32]
    segment_ids: npt.NDArray[np.int8]
    word_index: npt.NDArray[np.int32]
    char_offsets: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    full_lengths: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_bounds", [0, *np.cumsum(self.lengths).tolist()])

    @classmethod
    def empty(cls, tokens: int, lengths: npt.NDArray[np.int64]) -> TokenisedRows:
        """Rows of ``tokens`` tokens in all, to be filled in; all of them special so far."""
        return cls(
            np.zeros(tokens, np.int32),
            np.zeros(tokens, np.int8),
            np.full(tokens, SPECIAL, np.int32),
            np.full((tokens, 2), SPECIAL, np.int32),
            lengths,
            np.zeros(len(lengths), np.int32),
            np.zeros(len(lengths), np.int32),
        )

    @classmethod
    def join(cls, rows: Iterable[TokenisedRow]) -> TokenisedRows:
        """The rows one after another."""
        rows = list(rows)
        return cls(
            np.concatenate([np.zeros(0, np.int32), *(row.input_ids for row in rows)]),
            np.concatenate([np.zeros(0, np.int8), *(row.segment_ids for row in rows)]),
            np.concatenate([np.zeros(0, np.int32), *(row.word_index for row in rows)]),
            np.concatenate([np.zeros((0, 2), np.int32), *(row.char_offsets for row in rows)]),
            np.array([row.length for row in rows], np.int64),
            np.array([row.full_length for row in rows], np.int32),
            np.array([row.words for row in rows], np.int32),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, row: int) -> TokenisedRow: ...
    @overload
    def __getitem__(self, row: slice) -> list[TokenisedRow]: ...
    def __getitem__(self, row: int | slice) -> TokenisedRow | list[TokenisedRow]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        number = range(len(self))[row]
        bounds: list[int] = self._bounds  # type: ignore[attr-defined]
        tokens = slice(bounds[number], bounds[number + 1])
        return TokenisedRow(
            self.input_ids[tokens],
            self.segment_ids[tokens],
            self.word_index[tokens],
            self.char_offsets[tokens],
            int(self.full_lengths[number]),
            int(self.words[number]),
        )
