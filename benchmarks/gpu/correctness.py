"""Whether a device's states are the CPU's, and whether a row's depend on its company."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.gpu.inputs import Bench
from benchmarks.gpu.runner import Part
from pipeline.encoder.packs import one_behind
from pipeline.encoder.tokenised import TokenisedRow

if TYPE_CHECKING:
    from pipeline.encoder.forward import FrozenEncoder

_SOME, _ALONE = 24, 16
"""Rows that are put at the ends of packs, and rows that are each given a pack of their own."""

States = dict[int, dict[int, npt.NDArray[np.float32]]]
"""By row and layer: (tokens, width)."""

_COMPANY_TOKENS = 3
"""Tokens of a row that is shorter than any that is looked at."""


def equality(shape: str, bench: Bench) -> Iterator[Part]:
    """States on the device against those of the CPU in float32, by precision and layer."""
    rows = [
        *bench.rows("tweets")[: bench.size(150, 12)],
        *bench.rows("news")[: bench.size(12, 3)],
    ]
    depth = bench.shapes[shape].layers
    layers = sorted({0, depth // 3, 2 * depth // 3, depth})
    expected = _states(bench.encoder(shape, "float32", layers=layers, device=bench.cpu), rows)
    for dtype in bench.dtypes:

        def compared(dtype: str = dtype) -> dict[str, Any]:
            found = _states(bench.encoder(shape, dtype, layers=layers), rows)
            return {f"layer_{layer}": _difference(expected, found, layer) for layer in layers}

        yield dtype, compared


def _states(encoder: FrozenEncoder, rows: Sequence[TokenisedRow]) -> States:
    return {
        row: {layer: values.copy() for layer, values in by_layer.items()}
        for row, by_layer in encoder.encode(rows)
    }


def _difference(expected: States, found: States, layer: int) -> dict[str, float]:
    """How far a layer's states are from those expected, beside how large these are."""
    right = np.concatenate([expected[row][layer] for row in sorted(expected)]).astype(np.float64)
    off = np.concatenate([found[row][layer] for row in sorted(expected)]) - right
    return {
        "relative_rms": math.sqrt(np.mean(off**2) / np.mean(right**2)),
        "largest": float(np.abs(off).max()),
        "largest_state": float(np.abs(right).max()),
    }


def purity(shape: str, bench: Bench) -> Iterator[Part]:
    """Rows whose stored bits differ in other company, of how many, by precision."""
    short = [row for row in bench.rows("tweets") if row.length > _COMPANY_TOKENS]
    rows = [*short[: bench.size(100, 10)], *bench.rows("news")[: bench.size(28, 3)]]
    others = short[bench.size(100, 10) :][: bench.size(200, 10)]
    depth = bench.shapes[shape].layers
    for dtype in bench.dtypes:
        load = partial(bench.encoder, shape, dtype, layers=sorted({0, depth // 2, depth}))
        usual = cache(partial(_Usual, load, rows))
        yield dtype, partial(_in_company, usual, others)
        yield f"{dtype}_packs", partial(_in_other_packs, usual)


class _Usual:
    """Rows with the bytes that are stored of them when they go through an encoder together."""

    def __init__(self, load: Callable[[], FrozenEncoder], rows: Sequence[TokenisedRow]) -> None:
        self.encoder, self.rows = load(), rows
        self._bytes = _stored(self.encoder, rows)

    def differing(
        self, members: Sequence[int], company: Sequence[TokenisedRow] = ()
    ) -> dict[str, int]:
        """How many of some rows have other bytes in some company."""
        found = _stored(self.encoder, [*(self.rows[member] for member in members), *company])
        differ = sum(found[place] != self._bytes[member] for place, member in enumerate(members))
        return {"differ": differ, "of": len(members)}


def _in_company(load: Callable[[], _Usual], others: Sequence[TokenisedRow]) -> dict[str, Any]:
    """The same packs again, other packs, and either end of one."""
    usual = load()
    rows, tokens = usual.rows, usual.encoder.pack_tokens
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    every, half = range(len(rows)), order[: len(order) // 2]
    # Packs are in order of length: what is shorter stands before them, what is longer behind.
    some = [row for row in every if rows[row].length < max(rows[0].length, tokens // 64)][:_SOME]
    free = tokens - sum(rows[row].length for row in some)
    before = [_row_of(_COMPANY_TOKENS)] * (free // _COMPANY_TOKENS)
    behind = [_row_of(1 + max(rows[row].length for row in some))] * 4
    alone = [usual.differing([row])["differ"] for row in order[:_ALONE]]
    return {
        "pack_tokens": tokens,
        "again": usual.differing(every),
        "shuffled": usual.differing(order),
        "other_company": usual.differing(half, others),
        "first_in_a_pack": usual.differing(some, behind),
        "last_in_a_pack": usual.differing(some, before),
        "alone": {"differ": sum(alone), "of": len(alone)},
    }


def _in_other_packs(load: Callable[[], _Usual]) -> dict[str, Any]:
    """The same rows in smaller packs, and in larger ones."""
    usual = load()
    tokens, figures = usual.encoder.pack_tokens, {}
    for size in (tokens // 4, 2 * tokens):
        usual.encoder.pack_tokens = size
        figures[f"{size}_tokens"] = usual.differing(range(len(usual.rows)))
    return figures


def _stored(encoder: FrozenEncoder, rows: Sequence[TokenisedRow]) -> dict[int, bytes]:
    """By row, the bytes that a store in float16 would hold of all layers."""
    found = {}
    for pack in one_behind(encoder.encode_packs(rows, torch.float16)):
        states = pack.fetch().by_layer
        for piece in pack.pieces:
            parts = (states[layer][piece.tokens].numpy().tobytes() for layer in encoder.layers)
            found[piece.row] = b"".join(parts)
    return found


def _row_of(tokens: int) -> TokenisedRow:
    """A row of some tokens, of which none is special."""
    ids = np.random.default_rng(tokens).integers(10, 1000, tokens)
    return TokenisedRow.bare(ids.astype(np.int32), np.zeros(tokens, np.int8))
