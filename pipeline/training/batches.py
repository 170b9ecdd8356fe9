"""Batches of examples: shuffled, and of nearly equal length within a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

_BATCHES_SORTED_TOGETHER = 32

BLOCK_TOKENS = 1 << 21
"""Tokens that are shuffled together. A corpus with more is read in blocks of so many, each made of
stretches from all over the store's files; what is in memory at a time is then bounded."""

_STRETCH_TOKENS = 1 << 15
"""Tokens that stand side by side in the store's files and stay together in a block."""


def epoch_batches(
    rows: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int64],
    *,
    batch_size: int,
    rng: np.random.Generator,
    read_ahead: Callable[[npt.NDArray[np.int64]], object] = len,
) -> Iterator[npt.NDArray[np.int64]]:
    """Yields one epoch's batches: every example once, as indices.

    Args:
        rows: (examples,), or (examples, 2) of pairs apart: where each example's states stand in the
            store, by order.
        tokens: (examples,) of each.
        batch_size: examples per batch.
        rng: decides the order.
        read_ahead: told the rows of the next block when one begins.
    """
    places = rows if rows.ndim == 1 else rows[:, 0]
    blocks = shuffled_blocks(places, tokens, rng)
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if following is not None:
            read_ahead(rows[following])
        yield from training_batches(block, tokens, batch_size=batch_size, rng=rng)


def shuffled_blocks(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """All examples in random order, in blocks that are shuffled each by itself.

    Whether features fit into memory does not matter: the order is the same on every machine.

    Args:
        rows: (examples,) where each example's states stand in the store, by order.
        lengths: (examples,) its tokens.
        rng: decides the order.

    Returns:
        Indices of examples, one array per block.
    """
    if lengths.sum() <= BLOCK_TOKENS:
        return [rng.permutation(len(lengths))]
    stored = np.argsort(rows, kind="stable")
    ends = np.cumsum(lengths[stored])
    stretches = np.split(stored, np.flatnonzero(np.diff(ends // _STRETCH_TOKENS)) + 1)
    order = rng.permutation(len(stretches))
    sizes = np.cumsum([lengths[stretches[place]].sum() for place in order])
    cuts = np.flatnonzero(np.diff(sizes // BLOCK_TOKENS)) + 1
    return [
        rng.permutation(np.concatenate([stretches[place] for place in block]))
        for block in np.split(order, cuts)
    ]


def training_batches(
    order: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    *,
    batch_size: int,
    rng: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """The batches of one block: every example once, in random order.

    Shuffled examples are sorted by length within stretches of 32 batches, and the batches are
    shuffled again: steps over time are then well filled, and order stays random.

    Args:
        order: indices of examples, shuffled.
        lengths: tokens of each example of the split.
        batch_size: examples per batch; the last one may have fewer.
        rng: decides the order of the batches.

    Returns:
        Indices of examples, one array per batch.
    """
    stretch = batch_size * _BATCHES_SORTED_TOGETHER
    batches = []
    for begin in range(0, len(order), stretch):
        part = order[begin : begin + stretch]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[start : start + batch_size] for start in range(0, len(part), batch_size)]
    return [batches[position] for position in rng.permutation(len(batches))]
