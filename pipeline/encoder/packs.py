"""Packs that went through the encoder, and the rows that they make up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of one row that a pack holds: all of them, but where a row is read in windows.

    Attributes:
        row: index of the row.
        place: where the tokens begin in the pack.
        begin: the first of them in the row.
        end: the one after the last.
    """

    row: int
    place: int
    begin: int
    end: int

    @property
    def tokens(self) -> slice:
        """Where they are in the pack."""
        return slice(self.place, self.place + self.end - self.begin)


@dataclass(frozen=True)
class PackStates:
    """States of a pack, on the CPU.

    Attributes:
        by_layer: (tokens, width) in the precision asked for.
        finite: by layer, whether all of them are finite in it.
    """

    by_layer: dict[int, Tensor]
    finite: dict[int, bool]


@dataclass(frozen=True)
class EncodedPack:
    """A pack that has been computed, or on a GPU is queued.

    Attributes:
        pieces: what it holds.
        fetch: waits for its states; any thread may call it, once.
    """

    pieces: list[Piece]
    fetch: Callable[[], PackStates]


def encoded_rows(
    packs: Iterable[EncodedPack], lengths: Sequence[int]
) -> Iterator[tuple[int, dict[int, npt.NDArray[np.float32]]]]:
    """Yields each row's index and, by layer, its states, when the last piece of it is there.

    Args:
        packs: that hold every row once, in float32.
        lengths: tokens of each row.

    Yields:
        (tokens, width) float32 by layer; a view of its pack, where that holds the whole row.
    """
    missing = list(lengths)
    parts: dict[int, dict[int, npt.NDArray[np.float32]]] = {}
    # A pack is fetched when the next one is already queued, so that no GPU waits for it.
    for pack in one_behind(packs):
        states = {layer: values.numpy() for layer, values in pack.fetch().by_layer.items()}
        for piece in pack.pieces:
            row = piece.row
            found = {layer: values[piece.tokens] for layer, values in states.items()}
            missing[row] -= piece.end - piece.begin
            if piece.end - piece.begin < lengths[row]:
                whole = parts.setdefault(row, _empty(found, lengths[row]))
                for layer, values in found.items():
                    whole[layer][piece.begin : piece.end] = values
                found = whole
            if not missing[row]:
                parts.pop(row, None)
                yield row, found


def one_behind(packs: Iterable[EncodedPack]) -> Iterator[EncodedPack]:
    """Yields each pack when the next one is there."""
    before: EncodedPack | None = None
    for pack in packs:
        if before is not None:
            yield before
        before = pack
    if before is not None:
        yield before


def _empty(
    like: Mapping[int, npt.NDArray[np.float32]], tokens: int
) -> dict[int, npt.NDArray[np.float32]]:
    return {
        layer: np.empty((tokens, values.shape[1]), np.float32) for layer, values in like.items()
    }
