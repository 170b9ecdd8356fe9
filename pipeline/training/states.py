"""Sources of hidden states for training.

On a CPU they stay in the store's files, which are mapped into memory: what is read once is kept by
the system's page cache for as long as there is room, so that features that fit are read from disk
once, and features that do not are streamed, in the blocks that ``pipeline.training.batches``
shuffles. None of it is private memory. A GPU holds the layers that fit into its free memory, in the
precision of the store, and is streamed the others: see ``pipeline.training.gpu_states``.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.environment import one_thread
from pipeline.features.reader import Features
from pipeline.heads.feeding import StatesSource


class TrainingStates(StatesSource):
    """States that may be told what they are asked for next."""

    def will_need(self, rows: npt.NDArray[np.int64]) -> None:
        """Brings the states of some rows nearer, where there is anywhere to bring them."""


class MappedStates(TrainingStates):
    """States of chosen layers, read from the store's files as they are needed.

    Args:
        features: opened features.
        layers: resolved layers; several are given side by side.
    """

    def __init__(self, features: Features, layers: Sequence[int]) -> None:
        maps = [features.layer_shards(layer) for layer in layers]
        self.layers = [[_as_tensor(shard) for shard in shards] for shards in maps]
        self._files = [getattr(shard, "_mmap", None) for shards in maps for shard in shards]
        self._offsets = features.row_offsets
        tokens = [0, *(len(shard) for shard in self.layers[0])]
        self._starts = np.cumsum(tokens)
        self._width = features.width
        self._buffer = torch.empty(0)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the store."""
        return self.layers[0][0].dtype

    @property
    def width(self) -> int:
        """Width of all layers side by side."""
        return len(self.layers) * self._width

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(tokens of all rows, layers * width) float32; overwritten by the next call."""
        states = self._room(self.tokens(rows))
        self.gather(rows, states)
        return states

    def tokens(self, rows: npt.NDArray[np.int64]) -> int:
        """Tokens of some rows together."""
        return int((self._offsets[rows + 1] - self._offsets[rows]).sum())

    def gather(self, rows: npt.NDArray[np.int64], out: Tensor) -> None:
        """Writes the states of some rows, one after another.

        Args:
            rows: which.
            out: (tokens of all rows, layers * width) of any precision.
        """
        begins, ends = self._offsets[rows], self._offsets[rows + 1]
        shards = np.searchsorted(self._starts, begins, side="right") - 1
        places = list(
            zip(
                shards.tolist(),
                (begins - self._starts[shards]).tolist(),
                (ends - self._starts[shards]).tolist(),
                strict=True,
            )
        )
        with one_thread():
            for number, layer in enumerate(self.layers):
                column = out[:, number * self._width : (number + 1) * self._width]
                begin = 0
                for shard, first, end in places:
                    column[begin : begin + end - first].copy_(layer[shard][first:end])
                    begin += end - first

    def will_need(self, rows: npt.NDArray[np.int64]) -> None:
        """Asks the system to read the shards of some rows ahead."""
        shards = np.unique(np.searchsorted(self._starts, self._offsets[rows], side="right") - 1)
        count = len(self._starts) - 1
        for layer in range(len(self.layers)):
            for shard in shards.tolist():
                file = self._files[layer * count + shard]
                if file is not None and hasattr(mmap, "MADV_WILLNEED"):
                    file.madvise(mmap.MADV_WILLNEED)

    def _room(self, tokens: int) -> Tensor:
        """(tokens, layers * width) float32, memory that is used again and again."""
        if self._buffer.numel() < tokens * self.width:
            with torch.inference_mode(False):  # so that training may write to it again
                self._buffer = torch.empty(tokens * self.width)
        return self._buffer[: tokens * self.width].view(tokens, self.width)


def _as_tensor(shard: npt.NDArray[np.generic]) -> Tensor:
    """A view of a read-only map; nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(shard)
