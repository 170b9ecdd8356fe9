"""States of a shard that is being computed: packs scatter rows into it until it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import StoreError
from pipeline.encoder.packs import PackStates, Piece
from pipeline.extraction.plan import CorpusRows, RowPlan
from pipeline.extraction.work import ShardWork
from pipeline.store.index import RowIndex


class ShardStates:
    """States of one shard at the layers that the store lacks.

    Args:
        work: what is missing.
        plan: which rows the shard has.
        width: of a state.
        dtype: of states, as stored.

    Attributes:
        by_layer: (tokens, width), the rows in the order of the shard.
        missing: tokens that are still to be encoded.
    """

    def __init__(self, work: ShardWork, plan: RowPlan, *, width: int, dtype: str) -> None:
        self.work = work
        self.missing = work.tokens
        self.by_layer: dict[int, npt.NDArray[Any]] = {
            layer: np.empty((work.shard.tokens, width), dtype) for layer in work.layers
        }
        lengths = plan.lengths[work.shard.first : work.shard.end]
        self._keys = plan.keys
        self._begins: list[int] = (np.cumsum(lengths, dtype=np.int64) - lengths).tolist()
        self._lengths: list[int] = lengths.tolist()

    def place(self, row: int, piece: Piece, states: Mapping[int, npt.NDArray[Any]]) -> None:
        """Copies tokens of a row to where they belong.

        Args:
            row: number of the row in the plan.
            piece: which of its tokens they are, and where in ``states``.
            states: (tokens, width) of a whole pack by layer, as stored.
        """
        first = self._begins[row - self.work.shard.first]
        place = slice(first + piece.begin, first + piece.end)
        for layer, target in self.by_layer.items():
            target[place] = states[layer][piece.tokens]
        self.missing -= piece.end - piece.begin

    def copy_stored(self, index: RowIndex) -> None:
        """Copies the rows that other shards of the store have."""
        shard = self.work.shard
        computed = set(self.work.compute)
        for row in range(shard.first, shard.end):
            if row not in computed:
                place = row - shard.first
                begin = self._begins[place]
                for layer, target in self.by_layer.items():
                    states = index.states(self._keys[row], layer)
                    target[begin : begin + self._lengths[place]] = states


def refuse_infinite(
    states: PackStates, pieces: Sequence[Piece], numbers: Sequence[int], rows: CorpusRows
) -> None:
    """Refuses states that the storage precision does not hold.

    Args:
        states: of a pack, as stored.
        pieces: of the pack; what belongs to none of them is not looked at.
        numbers: by a piece's row, its number in the corpus.
        rows: of the corpus.

    Raises:
        StoreError: a state is not finite.
    """
    for layer, finite in states.finite.items():
        if finite:
            continue
        values = states.by_layer[layer]
        for piece in pieces:
            if not values[piece.tokens].isfinite().all():
                dtype = str(values.dtype).removeprefix("torch.")
                example = rows.example_of(numbers[piece.row])
                advice = "" if dtype == "float32" else "; set storage_dtype: float32"
                raise StoreError(
                    f"layer {layer} of text {example!r} has values that are not finite in "
                    f"{dtype}{advice}"
                )
