"""Where each token of a batch stands while a recurrent network walks over it, without padding.

Tokens come row-major: all tokens of the first sequence, then of the second. The network walks
time-major, as in ``torch.nn.utils.rnn.PackedSequence``: step t holds the t-th token of every
sequence that has one, longest sequence first. The backward direction walks the same steps over
each sequence from its own end, so that there is nothing it could read before a sequence's last
token.

One thing is added. Matrix products with fewer than 16 rows take other kernels on CPUs, whose last
bits differ; so every step has at least 16 rows, filled up behind the ends of the longest
sequences, where no real token follows. A sequence's outputs then do not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MINIMUM_ROWS = 16


@dataclass(frozen=True)
class PackedBatch:
    """Positions of a batch's tokens in time-major order.

    Attributes:
        lengths: (batch,) int64, tokens of each sequence.
        batch_sizes: rows of each step, never increasing.
        forward: (tokens,) int64, the position of each row-major token in the forward walk.
        backward: (tokens,) int64, the same in the backward walk.
        previous: (positions - rows of the first step,) int64: where the state before each
            position stands, for all positions of the second step and later.
    """

    lengths: Tensor
    batch_sizes: list[int]
    forward: Tensor
    backward: Tensor
    previous: Tensor

    @property
    def positions(self) -> int:
        """Rows of all steps together, filled-up ones included."""
        return sum(self.batch_sizes)

    @property
    def first_tokens(self) -> Tensor:
        """(batch,) int64: row-major index of each sequence's first token."""
        return torch.cumsum(self.lengths, 0) - self.lengths

    @property
    def last_tokens(self) -> Tensor:
        """(batch,) int64: row-major index of each sequence's last token."""
        return torch.cumsum(self.lengths, 0) - 1

    @property
    def sequences(self) -> Tensor:
        """(tokens,) int64: the sequence of each row-major token."""
        index = torch.arange(len(self.lengths), device=self.lengths.device)
        return index.repeat_interleave(self.lengths)

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch with its indices on another device."""
        return PackedBatch(
            self.lengths.to(device),
            self.batch_sizes,
            self.forward.to(device),
            self.backward.to(device),
            self.previous.to(device),
        )


def pack_batch(lengths: Sequence[int]) -> PackedBatch:
    """Lays out sequences of the given lengths.

    Args:
        lengths: tokens of each sequence, each at least 1, in any order.

    Raises:
        ValueError: there is no sequence, or an empty one.
    """
    if not len(lengths) or min(lengths) < 1:
        raise ValueError("a batch needs sequences of at least one token each")
    real = np.asarray(lengths, np.int64)
    rank_of = np.empty(len(real), np.int64)
    order = np.argsort(-real, kind="stable")
    rank_of[order] = np.arange(len(real))

    # What each rank occupies: its own length, except that the first 16 are filled to the longest.
    occupied = np.zeros(max(len(real), MINIMUM_ROWS), np.int64)
    occupied[: len(real)] = real[order]
    occupied[:MINIMUM_ROWS] = occupied[0]
    steps = np.arange(occupied[0])
    batch_sizes = len(occupied) - np.searchsorted(occupied[::-1], steps, side="right")
    step_start = np.cumsum(batch_sizes) - batch_sizes

    rank = np.repeat(rank_of, real)
    time = np.arange(real.sum()) - np.repeat(np.cumsum(real) - real, real)
    from_end = np.repeat(real, real) - 1 - time
    previous = np.arange(batch_sizes[1:].sum()) - np.repeat(
        step_start[1:] - batch_sizes[0] - step_start[:-1], batch_sizes[1:]
    )
    return PackedBatch(
        lengths=torch.from_numpy(real),
        batch_sizes=batch_sizes.tolist(),
        forward=torch.from_numpy(step_start[time] + rank),
        backward=torch.from_numpy(step_start[from_end] + rank),
        previous=torch.from_numpy(previous),
    )
