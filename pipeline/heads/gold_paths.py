"""Gold labels of whole sequences, as a CRF learns from them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from pipeline.heads.constraints import Constraints, possible_tags
from pipeline.heads.indices import Indices
from pipeline.heads.packing import PackedBatch
from pipeline.tasks.label_type import IGNORE


class GoldPaths(Indices):
    """Gold labels of a batch of sequences; what depends on them alone is worked out on the host.

    By name: ``tags`` (words,) int64 as given; ``possible`` (words,) int64, ``IGNORE`` where they
    cannot be; and ``counts`` (labels * labels + 2 * labels,) float32: how often each label follows
    each, then how often each is the first and the last of a sequence, where they are known.

    Args:
        tags: (words,) the gold labels, ``IGNORE`` where unknown.
        sequences: the layout of the words.
        constraints: what is allowed.
        device: where arrays are read.
    """

    def __init__(
        self,
        tags: npt.NDArray[np.int64],
        sequences: PackedBatch,
        constraints: Constraints,
        device: torch.device,
    ) -> None:
        super().__init__(
            {
                "tags": lambda: tags,
                "possible": lambda: self._possible,
                "counts": self._counts,
            },
            device,
        )
        self.sequences = sequences
        self._tags, self._constraints = tags, constraints

    @property
    def has_unknown(self) -> bool:
        """Whether any label is unknown, or cannot be."""
        return bool((self._possible == IGNORE).any())

    @cached_property
    def _possible(self) -> npt.NDArray[np.int64]:
        return possible_tags(self._tags, self.sequences.lengths, self._constraints)

    def _counts(self) -> npt.NDArray[np.float32]:
        labels = len(self._constraints.starts)
        ends = np.cumsum(self.sequences.lengths)
        first = ends - self.sequences.lengths
        later = np.delete(np.arange(len(self._possible)), first)
        before, here = self._possible[later - 1], self._possible[later]
        parts = (
            _occurrences(np.where(here < 0, IGNORE, before * labels + here), labels * labels),
            _occurrences(self._possible[first], labels),
            _occurrences(self._possible[ends - 1], labels),
        )
        return np.concatenate(parts).astype(np.float32)


def _occurrences(values: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """(count,) how often each number occurs; negative ones are of labels that are unknown."""
    return np.bincount(values[values >= 0], minlength=count)
