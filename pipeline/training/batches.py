"""Which examples a step sees: shuffled, and of nearly equal length within a batch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BATCHES_SORTED_TOGETHER = 32


def training_batches(
    lengths: npt.NDArray[np.int64], *, batch_size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """One epoch's batches: every example once, in random order.

    Shuffled examples are sorted by length within stretches of 32 batches, and the batches are
    shuffled again: steps over time are then well filled, and order stays random.

    Args:
        lengths: (examples,) tokens of each example.
        batch_size: examples per batch; the last one may have fewer.
        rng: decides the order.

    Returns:
        Indices of examples, one array per batch.
    """
    order = rng.permutation(len(lengths))
    stretch = batch_size * _BATCHES_SORTED_TOGETHER
    batches = []
    for begin in range(0, len(order), stretch):
        part = order[begin : begin + stretch]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[start : start + batch_size] for start in range(0, len(part), batch_size)]
    return [batches[position] for position in rng.permutation(len(batches))]


def scoring_batches(
    lengths: npt.NDArray[np.int64], *, batch_size: int
) -> list[npt.NDArray[np.int64]]:
    """All examples once, sorted by length, in batches of ``batch_size``."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
