"""Packed batches: the place of each token while a recurrent network reads it, without padding.

Tokens come row-major: all tokens of the first sequence, then of the second. The network walks
time-major, as in ``torch.nn.utils.rnn.PackedSequence``: step t holds the t-th token of every
sequence that has one, longest sequence first. The backward direction walks the same steps over
each sequence from its own end, so that there is nothing it could read before a sequence's last
token. Both directions walk together: a step holds the forward rows, then the backward ones.

One thing is added. Matrix products with few rows take other kernels on CPUs, whose last bits
differ; so every step has at least ``MINIMUM_ROWS``, filled up behind the ends of the longest
sequences, where no real token follows. A sequence's outputs then do not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.kernels import MINIMUM_ROWS

Directions = tuple[str, ...]
"""``("",)`` forward, ``("_reverse",)`` backward, or both: torch's suffixes of parameters."""


@dataclass(frozen=True)
class PackedLayout:
    """The steps of one or two directions over a batch.

    Attributes:
        batch_sizes: rows of each step in one direction, never increasing.
        places: (tokens * directions,) int64, the position of each token in each direction, token by
            token.
        sources: (positions,) int64, the inverse: which of the places stands at each position, and
            ``tokens * directions`` where a step is filled up.
        previous: (positions after the first step,) int64, where the state before each stands.
    """

    batch_sizes: list[int]
    places: Tensor
    sources: Tensor
    previous: Tensor

    @property
    def positions(self) -> int:
        """Rows of all steps and directions together, filled-up ones included."""
        return len(self.sources)


@dataclass(frozen=True)
class PackedBatch:
    """The layout of a batch.

    Attributes:
        lengths: tokens of each sequence.
        device: where the indices of layouts are.
    """

    lengths: npt.NDArray[np.int64]
    device: torch.device
    _layouts: dict[Directions, PackedLayout] = field(default_factory=dict)

    @property
    def forward(self) -> PackedLayout:
        """The steps of the forward direction alone."""
        return self.layout(("",))

    @property
    def backward(self) -> PackedLayout:
        """The steps of the backward direction alone."""
        return self.layout(("_reverse",))

    @property
    def tokens(self) -> int:
        """Tokens of all sequences together."""
        return int(self.lengths.sum())

    @property
    def first_tokens(self) -> Tensor:
        """(batch,) int64: row-major index of each sequence's first token."""
        return torch.from_numpy(np.cumsum(self.lengths) - self.lengths).to(self.device)

    @property
    def last_tokens(self) -> Tensor:
        """(batch,) int64: row-major index of each sequence's last token."""
        return torch.from_numpy(np.cumsum(self.lengths) - 1).to(self.device)

    @property
    def owners(self) -> Tensor:
        """(tokens,) int64: the sequence that each token belongs to."""
        owners = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return torch.from_numpy(owners).to(self.device)

    def layout(self, directions: Directions) -> PackedLayout:
        """The steps of the given directions; worked out once."""
        if directions not in self._layouts:
            steps, *indices = _lay_out(self.lengths, [bool(suffix) for suffix in directions])
            tensors = (torch.from_numpy(index).to(self.device) for index in indices)
            self._layouts[directions] = PackedLayout(steps.tolist(), *tensors)
        return self._layouts[directions]

    def to(self, device: torch.device) -> PackedBatch:
        """This batch with its indices on another device."""
        return self if device == self.device else PackedBatch(self.lengths, device)


def pack_batch(lengths: Sequence[int] | npt.NDArray[np.int64]) -> PackedBatch:
    """Lays out sequences of the given lengths.

    Args:
        lengths: tokens of each sequence, each at least 1, in any order.

    Raises:
        ValueError: there is no sequence, or an empty one.
    """
    if not len(lengths) or min(lengths) < 1:
        raise ValueError("a batch needs sequences of at least one token each")
    return PackedBatch(np.asarray(lengths, np.int64), torch.device("cpu"))


def _lay_out(
    lengths: npt.NDArray[np.int64], reverse: Sequence[bool]
) -> tuple[npt.NDArray[np.int64], ...]:
    """``batch_sizes``, ``places``, ``sources`` and ``previous`` of a layout."""
    directions = len(reverse)
    rank_of = np.empty(len(lengths), np.int64)
    order = np.argsort(-lengths, kind="stable")
    rank_of[order] = np.arange(len(lengths))

    # What each rank occupies: its own length, but the first MINIMUM_ROWS are filled to the longest.
    occupied = np.zeros(max(len(lengths), MINIMUM_ROWS), np.int64)
    occupied[: len(lengths)] = lengths[order]
    occupied[:MINIMUM_ROWS] = occupied[0]
    steps = np.arange(occupied[0])
    rows = len(occupied) - np.searchsorted(occupied[::-1], steps, side="right")
    start = directions * (np.cumsum(rows) - rows)

    rank = np.repeat(rank_of, lengths)
    time = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    from_end = np.repeat(lengths, lengths) - 1 - time
    when = np.stack([from_end if back else time for back in reverse], 1)
    places = (start[when] + np.arange(directions) * rows[when] + rank[:, None]).ravel()
    sources = np.full(directions * rows.sum(), len(places), np.int64)
    sources[places] = np.arange(len(places))

    # Row r of direction d stands d * rows + r after the start of its step.
    later = directions * rows[1:]
    within = np.arange(later.sum()) - np.repeat(start[1:] - directions * rows[0], later)
    direction, row = np.divmod(within, np.repeat(rows[1:], later))
    previous = np.repeat(start[:-1], later) + direction * np.repeat(rows[:-1], later) + row
    return rows, places, sources, previous
