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
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.kernels import MINIMUM_ROWS
from pipeline.heads.indices import Indices

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


class PackedBatch(Indices):
    """The layout of a batch.

    Args:
        lengths: (batch,) int64, tokens of each sequence.
        device: where the indices of layouts are.
    """

    def __init__(self, lengths: npt.NDArray[np.int64], device: torch.device) -> None:
        super().__init__(
            {
                "lengths": lambda: self.lengths,
                "first_tokens": lambda: self._ends - self.lengths,
                "last_tokens": lambda: self._ends - 1,
                "owners": lambda: np.repeat(np.arange(len(self.lengths)), self.lengths),
                "slots": self._slots,
                "later_tokens": lambda: self._later_tokens,
                "tree_leaves": self._tree_leaves,
                "sorted_forward": lambda: self._sorted_tokens[0],
                "unsorted_forward": lambda: _inverse(self._sorted_tokens[0]),
                "sorted_reverse": lambda: self._sorted_tokens[1],
                "unsorted_reverse": lambda: _inverse(self._sorted_tokens[1]),
                "sorted_sequences": lambda: self._longest_first,
                "unsorted_sequences": lambda: _inverse(self._longest_first),
            },
            device,
        )
        self.lengths = lengths
        self._layouts: dict[Directions, PackedLayout] = {}

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
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.lengths.max())

    @property
    def first_tokens(self) -> Tensor:
        """(batch,) int64: row-major index of each sequence's first token."""
        return self.index("first_tokens")

    @property
    def last_tokens(self) -> Tensor:
        """(batch,) int64: row-major index of each sequence's last token."""
        return self.index("last_tokens")

    @property
    def owners(self) -> Tensor:
        """(tokens,) int64: the sequence that each token belongs to."""
        return self.index("owners")

    @property
    def slots(self) -> Tensor:
        """(tokens,) int64: where each token stands in (longest, batch) padded steps."""
        return self.index("slots")

    def layout(self, directions: Directions) -> PackedLayout:
        """The steps of the given directions; worked out once."""
        if directions not in self._layouts:
            steps, *indices = _lay_out(self.lengths, [bool(suffix) for suffix in directions])
            tensors = (torch.from_numpy(index).to(self.device) for index in indices)
            self._layouts[directions] = PackedLayout(steps.tolist(), *tensors)
        return self._layouts[directions]

    @cached_property
    def single_tokens(self) -> PackedBatch:
        """The layout of as many sequences of one token."""
        return PackedBatch(np.ones_like(self.lengths), self.device)

    @cached_property
    def batch_sizes(self) -> Tensor:
        """(longest,) int64, on the CPU: sequences of each step, as torch's packed sequences."""
        steps = np.arange(self.longest)
        sizes = len(self.lengths) - np.searchsorted(np.sort(self.lengths), steps, side="right")
        return torch.from_numpy(sizes)

    def sorted_tokens(self, direction: str) -> tuple[Tensor, Tensor]:
        """(tokens,) int64 each: row-major tokens in torch's packed order, and the inverse.

        Step by step, the longest sequence first; of ``_reverse``, each sequence from its end.
        """
        name = "reverse" if direction else "forward"
        return self.index(f"sorted_{name}"), self.index(f"unsorted_{name}")

    @property
    def sorted_sequences(self) -> tuple[Tensor, Tensor]:
        """(batch,) int64 each: sequences in torch's packed order, and the inverse."""
        return self.index("sorted_sequences"), self.index("unsorted_sequences")

    def to(self, device: torch.device) -> PackedBatch:
        """This batch with its indices on another device."""
        return self if device == self.device else PackedBatch(self.lengths, device)

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.cumsum(self.lengths)

    @cached_property
    def _longest_first(self) -> npt.NDArray[np.int64]:
        return np.argsort(-self.lengths, kind="stable")

    @cached_property
    def _sorted_tokens(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Row-major tokens in packed order, from the start and from the end of each sequence."""
        sizes = self.batch_sizes.numpy()
        time = np.repeat(np.arange(len(sizes)), sizes)
        rank = np.arange(self.tokens) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        sequence = self._longest_first[rank]
        ends = self._ends[sequence]
        return ends - self.lengths[sequence] + time, ends - 1 - time

    @cached_property
    def _later_tokens(self) -> npt.NDArray[np.int64]:
        """Tokens that are not the first of their sequence."""
        return np.delete(np.arange(self.tokens), self._ends - self.lengths)

    def _tree_leaves(self) -> npt.NDArray[np.int64]:
        """(later tokens,) their places in rows of a power of two, one row a sequence."""
        row = 1 << (self.longest - 2).bit_length()
        owners = np.repeat(np.arange(len(self.lengths)), self.lengths)[self._later_tokens]
        within = self._later_tokens - (self._ends - self.lengths)[owners] - 1
        return np.asarray(owners * row + within)

    def _slots(self) -> npt.NDArray[np.int64]:
        starts = np.repeat(self._ends - self.lengths, self.lengths)
        batch = len(self.lengths)
        owners = np.repeat(np.arange(batch), self.lengths)
        return np.asarray((np.arange(self.tokens) - starts) * batch + owners)


def _inverse(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return inverse


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
