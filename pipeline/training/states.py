"""Sources of hidden states for training.

On a CPU they stay in the store's files, which are mapped into memory: what is read once is kept by
the system's page cache for as long as there is room, so that features that fit are read from disk
once, and features that do not are streamed, in the blocks that ``pipeline.training.batches``
shuffles. None of it is private memory. A GPU holds what fits into half of its free memory, and is
streamed to otherwise.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.environment import one_thread
from pipeline.features.reader import Features
from pipeline.heads.scoring import StatesSource

_GPU_SHARE = 0.5


class TrainingStates(StatesSource, Protocol):
    """States that may be told what they are asked for next."""

    def will_need(self, rows: npt.NDArray[np.int64]) -> None:
        """Brings the states of some rows nearer, where there is anywhere to bring them."""
        ...


def open_states(features: Features, layers: Sequence[int], device: torch.device) -> TrainingStates:
    """The states of chosen layers, where training on a device reads them fastest."""
    mapped = MappedStates(features, layers, pinned=device.type == "cuda")
    if device.type != "cuda":
        return mapped
    free, _ = torch.cuda.mem_get_info(device)
    if mapped.bytes > _GPU_SHARE * free:
        return mapped
    try:
        return HeldStates(mapped, features.row_offsets, device)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return mapped


class MappedStates:
    """States of chosen layers, read from the store's files as they are needed.

    Args:
        features: opened features.
        layers: resolved layers; several are given side by side.
        pinned: whether what is read is put where a GPU fetches it without waiting.
    """

    def __init__(self, features: Features, layers: Sequence[int], *, pinned: bool = False) -> None:
        maps = [features.layer_shards(layer) for layer in layers]
        self.layers = [[_as_tensor(shard) for shard in shards] for shards in maps]
        self._files = [getattr(shard, "_mmap", None) for shards in maps for shard in shards]
        self._offsets = features.row_offsets
        tokens = [0, *(len(shard) for shard in self.layers[0])]
        self._starts = np.cumsum(tokens)
        self._width = features.width
        self._pinned = pinned
        self._buffer = torch.empty(0)
        self.bytes = sum(shard.nbytes for shards in self.layers for shard in shards)

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(tokens of all rows, layers * width) float32; overwritten by the next call."""
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
        states = self._room(int((ends - begins).sum()))
        with one_thread():
            for number, layer in enumerate(self.layers):
                column = states[:, number * self._width : (number + 1) * self._width]
                begin = 0
                for shard, first, end in places:
                    column[begin : begin + end - first].copy_(layer[shard][first:end])
                    begin += end - first
        return states

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
        width = len(self.layers) * self._width
        if self._buffer.numel() < tokens * width:
            with torch.inference_mode(False):  # so that training may write to it again
                self._buffer = torch.empty(tokens * width, pin_memory=self._pinned)
        return self._buffer[: tokens * width].view(tokens, width)


class HeldStates:
    """States held on a GPU in the precision of the store.

    Args:
        states: where they come from.
        row_offsets: (rows + 1,) int64, the first token of every row.
        device: the GPU.

    Raises:
        torch.cuda.OutOfMemoryError: they do not fit.
    """

    def __init__(
        self, states: MappedStates, row_offsets: npt.NDArray[np.int64], device: torch.device
    ) -> None:
        self._layers = [
            torch.cat([shard.to(device) for shard in shards]) for shards in states.layers
        ]
        self._offsets = row_offsets

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(tokens of all rows, layers * width) float32, on the GPU."""
        starts, ends = self._offsets[rows], self._offsets[rows + 1]
        lengths = ends - starts
        # Token t of a row stands at the row's start + t.
        shifts = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        index = torch.from_numpy(np.arange(lengths.sum()) + shifts).to(self._layers[0].device)
        return torch.cat([layer.index_select(0, index).float() for layer in self._layers], 1)

    def will_need(self, rows: npt.NDArray[np.int64]) -> None:
        """No-op: the states are on the GPU already."""


def _as_tensor(shard: npt.NDArray[np.generic]) -> Tensor:
    """A view of a read-only map; nothing here writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(shard)
