"""States for training on a GPU: held there, or streamed to it.

Both are in the precision of the store until they are read, and float32 from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.features.reader import Features
from pipeline.heads.fused import free_bytes, is_fused, steps_ahead
from pipeline.heads.indices import in_one_copy
from pipeline.training.states import MappedStates, TrainingStates

GPU_SHARE = 0.85
"""Of a GPU's free memory that layers may be held in; training needs some too."""

Rows = npt.NDArray[np.int64]


class TrainingSources:
    """Opens states of chosen layers where training on a device reads them fastest.

    Args:
        features: opened features.
        device: where heads are trained. A layer that a GPU holds is there once, for all heads.
    """

    def __init__(self, features: Features, device: torch.device) -> None:
        self._features, self._device = features, device
        self._held: dict[int, Tensor] = {}

    def open(self, layers: Sequence[int]) -> TrainingStates:
        """The states of some resolved layers."""
        mapped = MappedStates(self._features, layers)
        if not is_fused(self._device):
            return mapped
        return self._hold(mapped, layers) or StreamedStates(mapped, self._device)

    def _hold(self, mapped: MappedStates, layers: Sequence[int]) -> HeldStates | None:
        absent = [place for place, layer in enumerate(layers) if layer not in self._held]
        needed = sum(shard.nbytes for place in absent for shard in mapped.layers[place])
        if needed > GPU_SHARE * free_bytes(self._device):
            return None
        try:
            for place in absent:
                self._held[layers[place]] = on_device(mapped.layers[place], self._device)
        except torch.OutOfMemoryError:  # another process was quicker
            torch.cuda.empty_cache()
            return None
        return HeldStates([self._held[layer] for layer in layers], self._features.row_offsets)


def on_device(shards: Sequence[Tensor], device: torch.device) -> Tensor:
    """(tokens, width) all shards of a layer; never more than one shard besides.

    Raises:
        torch.OutOfMemoryError: they do not fit.
    """
    tokens, width = sum(len(shard) for shard in shards), shards[0].shape[1]
    layer = torch.empty(tokens, width, dtype=shards[0].dtype, device=device)
    begin = 0
    for shard in shards:
        layer[begin : begin + len(shard)].copy_(shard)
        begin += len(shard)
    return layer


class HeldStates(TrainingStates):
    """States held on a GPU in the precision of the store.

    Args:
        layers: (tokens, width) each, on the GPU.
        row_offsets: (rows + 1,) int64, the first token of every row.
    """

    def __init__(self, layers: Sequence[Tensor], row_offsets: Rows) -> None:
        self._layers = layers
        self._offsets = row_offsets

    def read(self, rows: Rows) -> Tensor:
        """(tokens of all rows, layers * width) float32, on the GPU."""
        return next(self.read_in_turn([rows], self._layers[0].device))

    def read_in_turn(self, batches: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """Yields the states of each batch; the indices of many go to the GPU in one copy."""
        remaining = iter(batches)
        while ahead := list(islice(remaining, steps_ahead(device))):
            for index in in_one_copy([self._tokens(rows) for rows in ahead], device):
                chosen = [layer.index_select(0, index) for layer in self._layers]
                yield (chosen[0] if len(chosen) == 1 else torch.cat(chosen, 1)).float()

    def _tokens(self, rows: Rows) -> Rows:
        """(tokens,) where each token of some rows stands."""
        starts, ends = self._offsets[rows], self._offsets[rows + 1]
        lengths = ends - starts
        # Token t of a row stands at the row's start + t.
        shifts = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return np.asarray(np.arange(lengths.sum()) + shifts)


class StreamedStates(TrainingStates):
    """States brought to a GPU batch by batch, one batch ahead of what is computed.

    What is gathered from the files goes through one of two pinned buffers, on a stream of its own,
    so that neither the GPU nor the program waits for a copy.

    Args:
        states: where they come from.
        device: the GPU.
    """

    def __init__(self, states: MappedStates, device: torch.device) -> None:
        self._states, self._device = states, device
        self._on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._on_gpu else None
        self._buffers = [torch.empty(0, dtype=states.dtype)] * 2
        self._copied: list[torch.cuda.Event | None] = [None, None]

    def read(self, rows: Rows) -> Tensor:
        """(tokens of all rows, layers * width) float32, on the GPU."""
        return next(self.read_in_turn([rows], self._device))

    def read_in_turn(self, batches: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """Yields the states of each batch when those of the next one are on their way."""
        before: int | None = None
        sent: list[Tensor] = [torch.empty(0), torch.empty(0)]
        for number, rows in enumerate(batches):
            side = number % 2
            sent[side] = self._send(rows, side, device)
            if before is not None:
                yield self._arrived(sent[before], before)
            before = side
        if before is not None:
            yield self._arrived(sent[before], before)

    def will_need(self, rows: Rows) -> None:
        """Asks the system to read the files of some rows ahead."""
        self._states.will_need(rows)

    def _send(self, rows: Rows, side: int, device: torch.device) -> Tensor:
        """Gathers a batch into one of the buffers and begins to copy it."""
        if (copied := self._copied[side]) is not None:
            copied.synchronize()  # what was in the buffer is on the GPU, two batches ago
        tokens = self._states.tokens(rows)
        buffer = self._room(tokens, side)
        self._states.gather(rows, buffer)
        with self._on_stream():
            sent = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
            sent.copy_(buffer, non_blocking=True)
            if self._stream is not None:
                self._copied[side] = self._stream.record_event()
        return sent

    def _arrived(self, sent: Tensor, side: int) -> Tensor:
        """Float32 of what was sent, for the stream that computes."""
        if (copied := self._copied[side]) is not None:
            computing = torch.cuda.current_stream(self._device)
            computing.wait_event(copied)
            # Its memory may be given away only when the computing stream is done with it.
            sent.record_stream(computing)
        return sent.float()

    def _on_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _room(self, tokens: int, side: int) -> Tensor:
        """(tokens, layers * width), pinned memory that is used again and again."""
        numbers = tokens * self._states.width
        if self._buffers[side].numel() < numbers:
            with torch.inference_mode(False):
                self._buffers[side] = torch.empty(
                    numbers, dtype=self._states.dtype, pin_memory=self._on_gpu
                )
        return self._buffers[side][:numbers].view(tokens, self._states.width)
