"""Random rows, and what an encoder gives for them: shared by the tests of the forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from conftest import VOCABULARY

from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenised import TokenisedRow


def rows_of_lengths(lengths: Sequence[int], seed: int = 0) -> list[TokenisedRow]:
    """Rows without special tokens; the second half of each is of another segment."""
    rng = np.random.default_rng(seed)
    return [
        TokenisedRow.bare(
            rng.integers(5, len(VOCABULARY), length).astype(np.int32),
            (np.arange(length) > length // 2).astype(np.int8),
        )
        for length in lengths
    ]


def states_of(encoder: FrozenEncoder, rows: Sequence[TokenisedRow]) -> list[dict]:
    """By row and layer, copied, so that no row keeps its pack."""
    by_row = {
        index: {layer: values.copy() for layer, values in states.items()}
        for index, states in encoder.encode(rows)
    }
    return [by_row[index] for index in range(len(rows))]


def bits(states: Sequence[dict], layers: Sequence[int] | None = None) -> list[bytes]:
    """The bytes of each row at each layer, or at some."""
    return [
        row[layer].tobytes()
        for row in states
        for layer in (sorted(row) if layers is None else layers)
    ]
