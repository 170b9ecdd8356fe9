"""The forward pass of a frozen encoder, and why a row's states do not depend on its company.

Rows are laid end to end in one sequence, and attention runs per group of rows of equal length. A
row's states are then the same bits whatever it is packed with, given one more thing: which kernel
a matrix product takes, and how threads share it, depends on its number of rows. On an AMD CPU
products of fewer than 16 rows differed in the last bits, on an Intel CPU with 2 threads those of
fewer than 192 (1,536 inputs) or 358 (3,072 inputs), on both without regard to where in the product
a row stands. So all packs have one size: dummy rows fill them up. What was tried, on x86-64:
MiniLM with 1 to 8 threads, and attention heads of width 12 to 64 with 1 and 2. Heads of width 8,
and a single head, differed in the last bit with 2 threads.

Models whose attention does not go through transformers' interface (DeBERTa-v2 and MPNet, for two)
take rows in padded batches, padded at the end. There, the shape of a row's batch follows from its
own length: the next multiple of ``PADDED_STEP`` is the padded length, and rows repeat to fill the
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.environment import gpu_tokens
from pipeline.core.errors import EncoderError, MachineError
from pipeline.encoder.attention import RowLayout
from pipeline.encoder.int8 import require_int8, use_int8
from pipeline.encoder.kernels import fuse_gelu
from pipeline.encoder.model import keep_layers, load_model, use_packed_attention
from pipeline.encoder.packing import (
    DUMMY_TOKENS,
    batches_of_one_size,
    dummy_lengths,
    pack_by_length,
)
from pipeline.encoder.probe import PROBE_LENGTHS, Probe, States
from pipeline.encoder.tokenise import TokenisedRow

PACK_TOKENS = 1536
"""Largest pack on a CPU, in tokens. Fewer are slower, and where few rows are computed, as
after an edit, more are wasted on dummies. Measured with MiniLM and 2 threads: on an Intel Xeon 2048
is as fast; on an AMD EPYC with less cache, states of more than 1024 had cost time."""

Fetch = Callable[[], States]
"""Waits for the states of what went through together."""

Started = tuple[list[tuple[int, tuple[int, slice]]], Fetch]
"""Rows that went through together, each with its index and its place in the states."""

Encoded = Iterator[tuple[int, States]]


class FrozenEncoder:
    """An encoder in inference mode that gives hidden states of chosen layers.

    Layer 0 is the output of the embeddings, layer k that of encoder layer k: the values of
    ``hidden_states[k]`` of the whole model in transformers.

    Args:
        folder: a materialised encoder.
        layers: the layers to give; what lies above the highest is not computed.
        device: where to compute.
        dtype: precision to compute in; of int8, the linear layers alone.
        trust_remote_code: whether Python code that comes with the encoder may run.

    Raises:
        EncoderError: the model cannot be loaded, is no encoder, lacks weights, has fewer layers
            than asked for, or gives other values without padding than transformers does.
        MachineError: the device has no such precision.
    """

    def __init__(
        self,
        folder: Path,
        *,
        layers: Sequence[int],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        trust_remote_code: bool = False,
    ) -> None:
        self.layers = tuple(sorted(set(layers)))
        self.device = device
        loaded = load_model(folder, trust_remote_code=trust_remote_code)
        if self.layers[0] < 0 or self.layers[-1] > loaded.depth:
            raise EncoderError(f"{folder}: has layers 0 to {loaded.depth}, not {list(layers)}")
        if dtype == torch.float16 and device.type != "cuda":
            raise MachineError(
                f"compute_dtype: float16 needs a CUDA GPU, this is {device}; "
                "use float32 or bfloat16"
            )
        if dtype == torch.int8:
            require_int8(device)
        self.width = loaded.width
        self._loaded = loaded
        self._model = loaded.model
        probe = Probe.of(loaded, self.layers, folder)
        keep_layers(loaded, self.layers, folder)
        if loaded.packs:
            use_packed_attention(loaded)
        if device.type == "cpu" and dtype == torch.float32:
            fuse_gelu(self._model, rows=PACK_TOKENS + DUMMY_TOKENS)
        # The probe goes through on the CPU, in float32, in one small pack.
        self._device_of_input = torch.device("cpu")
        self._pack_tokens = sum(PROBE_LENGTHS)
        probe.compare(self._states)

        if dtype == torch.int8:
            use_int8(self._model, rows=PACK_TOKENS + DUMMY_TOKENS)
            probe.run(self._states)
        else:
            for parameter in self._model.parameters():  # and no buffer: rotary angles stay exact
                parameter.data = parameter.data.to(dtype)
        self._model.to(device)
        self._device_of_input = device
        self._pack_tokens = PACK_TOKENS if device.type == "cpu" else gpu_tokens()

    def encode(self, rows: Sequence[TokenisedRow]) -> Encoded:
        """Yields each row's index and, by layer, its states: (tokens, width) float32.

        Rows come in order of their length, not of their index.

        Raises:
            EncoderError: a row is longer than the encoder has positions for.
            MachineError: the GPU's memory is too small.
        """
        lengths = [row.length for row in rows]
        if max(lengths, default=0) > self._loaded.positions:
            raise EncoderError(
                f"a row of {max(lengths)} tokens: the encoder has positions for "
                f"{self._loaded.positions}"
            )
        try:
            yield from self._states(rows)
        except RuntimeError as error:  # CUDA and MPS have different ones for this
            if self.device.type == "cpu" or "out of memory" not in str(error):
                raise
            raise MachineError(
                f"{self.device}: out of memory with {self._pack_tokens} tokens at once; "
                f"set ICEHOUSE_GPU_TOKENS to less than {self._pack_tokens}"
            ) from None

    def _states(self, rows: Sequence[TokenisedRow]) -> Encoded:
        # A pack is fetched when the next one is already queued, so that no GPU waits for it.
        for pack, fetch in _one_behind(
            self._packed(rows) if self._loaded.packs else self._padded(rows)
        ):
            states = fetch()
            for index, place in pack:
                yield index, {layer: values[place] for layer, values in states.items()}

    def _packed(self, rows: Sequence[TokenisedRow]) -> Iterator[Started]:
        """Rows end to end, in packs of one size."""
        for pack in pack_by_length([row.length for row in rows], self._pack_tokens):
            ends = np.cumsum([rows[index].length for index in pack]).tolist()
            places = [
                (0, slice(end - rows[index].length, end))
                for index, end in zip(pack, ends, strict=True)
            ]
            yield list(zip(pack, places, strict=True)), self._start_pack([rows[i] for i in pack])

    def _padded(self, rows: Sequence[TokenisedRow]) -> Iterator[Started]:
        """Rows in padded batches, whose shape follows from a row's own length."""
        for count, padded, batch in batches_of_one_size(
            [row.length for row in rows], self._pack_tokens, longest=self._loaded.positions
        ):
            places = [(place, slice(rows[index].length)) for place, index in enumerate(batch)]
            started = self._start_batch([rows[index] for index in batch], count, padded)
            yield list(zip(batch, places, strict=True)), started

    def _start_pack(self, pack: Sequence[TokenisedRow]) -> Fetch:
        """States of (1, tokens, width): the pack's rows end to end, then dummy rows."""
        dummies = dummy_lengths(sum(row.length for row in pack), self._pack_tokens)
        rest = sum(dummies)
        ids = np.concatenate([*(row.input_ids for row in pack), np.zeros(rest, np.int32)])
        segments = np.concatenate([*(row.segment_ids for row in pack), np.zeros(rest, np.int8)])
        positions = [
            *(self._positions(row.input_ids) for row in pack),
            *(self._positions(np.zeros(length, np.int32)) for length in dummies),
        ]
        return self._start(
            input_ids=ids[None],
            token_type_ids=segments[None],
            position_ids=np.concatenate(positions)[None],
            rows=RowLayout.of([*(row.length for row in pack), *dummies], self._device_of_input),
        )

    def _start_batch(self, batch: Sequence[TokenisedRow], count: int, padded: int) -> Fetch:
        """States of (count, padded, width): the batch's rows, repeated to fill it."""
        ids = np.full((count, padded), self._loaded.padding, np.int32)
        segments = np.zeros((count, padded), np.int8)
        mask = np.zeros((count, padded), np.int64)
        for place in range(count):
            row = batch[place % len(batch)]
            ids[place, : row.length] = row.input_ids
            segments[place, : row.length] = row.segment_ids
            mask[place, : row.length] = 1
        return self._start(input_ids=ids, token_type_ids=segments, attention_mask=mask)

    @torch.inference_mode()
    def _start(self, *, rows: RowLayout | None = None, **inputs: npt.NDArray[Any]) -> Fetch:
        """Runs the model, or on a GPU queues it, and what brings its hidden states back."""
        if not self._loaded.segments:
            del inputs["token_type_ids"]
        tensors: dict[str, Any] = {
            name: torch.from_numpy(values.astype(np.int64)).to(self._device_of_input)
            for name, values in inputs.items()
        }
        if rows is not None:
            tensors["rows"] = rows
        hidden = self._model(**tensors, output_hidden_states=True).hidden_states
        return _fetch({layer: hidden[layer].float() for layer in self.layers})

    def _positions(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """(tokens,) the position of each token of one row."""
        if not self._loaded.counts_from_padding:
            return np.arange(len(ids))
        real = (ids != self._loaded.padding).astype(np.int64)
        positions: npt.NDArray[np.int64] = np.cumsum(real) * real + self._loaded.padding
        return positions


def _fetch(hidden: dict[int, Tensor]) -> Fetch:
    """Begins to bring states to the CPU, and returns what waits for them."""
    if not all(tensor.is_cuda for tensor in hidden.values()):
        states = {layer: tensor.cpu().numpy() for layer, tensor in hidden.items()}
        return lambda: states
    pinned = {
        layer: torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        for layer, tensor in hidden.items()
    }
    for layer, tensor in hidden.items():
        pinned[layer].copy_(tensor, non_blocking=True)
    copied = torch.cuda.Event()
    # Of the states' own device: the current one may be another GPU.
    copied.record(torch.cuda.current_stream(next(iter(hidden.values())).device))

    def wait() -> States:
        copied.synchronize()
        return {layer: tensor.numpy() for layer, tensor in pinned.items()}

    return wait


def _one_behind(items: Iterable[Started]) -> Iterator[Started]:
    """Yields each item when the next one is there."""
    before: Started | None = None
    for item in items:
        if before is not None:
            yield before
        before = item
    if before is not None:
        yield before
