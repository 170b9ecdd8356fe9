"""Windows over texts that are too long for an encoder: several windows, one row all the same.

Windows slide over the text and overlap; of a pair, over its longer text, and each holds the shorter
one whole. A token's states are taken from the window in which it has the most context on its poorer
side (Devlin et al. 2019 did so for question answering). The last window is moved back to the end of
the text, so that all windows of a row are full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.encoder.packs import EncodedPack, Piece, encoded_rows
from pipeline.encoder.tokenised import TokenisedRow

if TYPE_CHECKING:
    import torch

    from pipeline.encoder.forward import FrozenEncoder


@dataclass(frozen=True)
class Window:
    """One window over a row.

    Attributes:
        tokens: (window's tokens,) int64, which tokens of the row it holds.
        begin: the first token of the row whose states come from it.
        end: the one after the last.
    """

    tokens: npt.NDArray[np.int64]
    begin: int
    end: int


@dataclass(frozen=True)
class Windows:
    """Rule that cuts long texts into windows.

    Attributes:
        max_length: tokens of a window, special tokens included.
        stride: tokens that neighbouring windows share, as in transformers.
    """

    max_length: int
    stride: int

    def room(self, row: TokenisedRow) -> int:
        """Tokens of the sliding text that a window holds; more than ``stride``, or none fits."""
        begin, end = _sliding(row)
        return self.max_length - (row.length - (end - begin))

    def over(self, row: TokenisedRow) -> list[Window]:
        """The windows of a row, in order; their kept parts make up the row.

        Raises:
            ValueError: what every window holds leaves no room to slide, or there is no text.
        """
        if row.length <= self.max_length:
            return [Window(np.arange(row.length), 0, row.length)]
        begin, end = _sliding(row)
        room = self.room(row)
        if room <= self.stride:
            raise ValueError(
                f"{room} tokens of a window are left for the text, {self.stride} shared"
            )
        last = end - room
        starts = [*range(begin, last, room - self.stride), last]
        # Midway between the centres of two windows, both give a token the same context.
        seams = [(one + room - 1 + following) // 2 + 1 for one, following in pairwise(starts)]
        bounds = [0, *seams, row.length]
        before, after = np.arange(begin), np.arange(end, row.length)
        return [
            Window(np.concatenate([before, np.arange(start, start + room), after]), *kept)
            for start, kept in zip(starts, pairwise(bounds), strict=True)
        ]


def encode_rows(
    encoder: FrozenEncoder, rows: Sequence[TokenisedRow], windows: Windows | None
) -> Iterator[tuple[int, dict[int, npt.NDArray[np.float32]]]]:
    """Yields each row's index and, by layer, its states, whatever the row's length.

    Args:
        encoder: gives states of rows that it has positions for.
        rows: of any length.
        windows: how long rows are cut; ``None`` where none is longer than the encoder takes.

    Yields:
        As ``FrozenEncoder.encode``: (tokens, width) float32 by layer.
    """
    import torch

    packs = encode_packs(encoder, rows, windows, torch.float32)
    yield from encoded_rows(packs, [row.length for row in rows])


def encode_packs(
    encoder: FrozenEncoder,
    rows: Sequence[TokenisedRow],
    windows: Windows | None,
    dtype: torch.dtype,
) -> Iterator[EncodedPack]:
    """Yields packs as ``FrozenEncoder.encode_packs`` does, of rows of any length.

    A window's piece is what is kept of it; together the pieces of a row are the whole row.
    """
    if windows is None:
        yield from encoder.encode_packs(rows, dtype)
        return
    cut = [(row, window) for row, tokens in enumerate(rows) for window in windows.over(tokens)]
    bare = [
        TokenisedRow.bare(rows[row].input_ids[window.tokens], rows[row].segment_ids[window.tokens])
        for row, window in cut
    ]
    for pack in encoder.encode_packs(bare, dtype):
        yield replace(pack, pieces=[_kept(piece, *cut[piece.row]) for piece in pack.pieces])


def _kept(piece: Piece, row: int, window: Window) -> Piece:
    """The part of a window, given as a piece, that its row takes from it."""
    before = int(np.searchsorted(window.tokens, window.begin))
    return Piece(row, piece.place + before, window.begin, window.end)


def _sliding(row: TokenisedRow) -> tuple[int, int]:
    """The part of a row that windows slide over: its text, or the longer text of a pair."""
    texts = [
        np.flatnonzero((row.segment_ids == segment) & (row.word_index >= 0)) for segment in (0, 1)
    ]
    longer = max(texts, key=len)  # the first of two equally long ones
    if not len(longer):
        raise ValueError("a row without text")
    return int(longer[0]), int(longer[-1]) + 1
