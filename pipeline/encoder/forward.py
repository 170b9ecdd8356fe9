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
batch. Where padding itself changes states, as the convolutions of CANINE and the Fourier transforms
of FNet have it, a batch is of rows of one length. Which of these a model takes is tried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.errors import EncoderError, MachineError
from pipeline.encoder.arrangement import Arrangement, arrangements
from pipeline.encoder.attention import RowLayout, row_bounds
from pipeline.encoder.hidden_states import run_layers
from pipeline.encoder.int8 import require_int8, use_int8
from pipeline.encoder.kernels import fuse_gelu
from pipeline.encoder.model import keep_layers, load_model, use_packed_attention
from pipeline.encoder.packing import (
    DUMMY_TOKENS,
    PACK_TOKENS,
    PADDED_STEP,
    batches_of_one_size,
    dummy_lengths,
    pack_by_length,
    pack_tokens,
)
from pipeline.encoder.packs import EncodedPack, PackStates, Piece, encoded_rows
from pipeline.encoder.probe import PROBE_LENGTHS, Probe
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.encoder.transfer import Transfer

Encoded = Iterator[tuple[int, dict[int, npt.NDArray[np.float32]]]]

_FINITE = -1
"""What the finiteness of states is downloaded under, beside the layers."""


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
        EncoderError: the model cannot be loaded, lacks weights, has fewer layers than asked for,
            or gives other values in company than transformers gives a row alone.
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
        if device.type == "cpu" and dtype == torch.float32:
            fuse_gelu(self._model, rows=PACK_TOKENS + DUMMY_TOKENS)
        # The probe goes through on the CPU, in float32, in one small pack.
        self.pack_tokens = sum(PROBE_LENGTHS)
        self._transfer = Transfer(torch.device("cpu"))
        self._arrange(probe)
        self.pack_tokens = pack_tokens(device)
        if device.type == "cuda":
            # Float32 is float32, whatever else in this process allowed.
            torch.backends.cuda.matmul.allow_tf32 = False
        if dtype == torch.int8:
            if not use_int8(self._model, rows=PACK_TOKENS + DUMMY_TOKENS):
                raise EncoderError(
                    f"{folder}: has no layers that multiply in int8; use another compute_dtype"
                )
            probe.run(self.encode)
        elif device.type != "cpu" or dtype != torch.float32:
            for parameter in self._model.parameters():  # no buffer: rotary angles stay exact
                parameter.data = parameter.data.to(dtype)
            self._model.to(device)
            self._transfer = Transfer(device)
            probe.compare(self.encode, dtype=dtype, device=device)

    def _arrange(self, probe: Probe) -> None:
        """Takes the first arrangement of rows in which they get the states that they get alone.

        Raises:
            EncoderError: there is none.
        """
        possible = arrangements(self._loaded)
        for arrangement in possible:
            self.arrangement = arrangement
            restore = use_packed_attention(self._loaded) if arrangement.packed else None
            try:
                probe.compare(self.encode)
            except EncoderError:
                if arrangement is possible[-1]:
                    raise
            else:
                return
            if restore is not None:
                restore()

    def encode(self, rows: Sequence[TokenisedRow]) -> Encoded:
        """Yields each row's index and, by layer, its states: (tokens, width) float32.

        Rows come in order of their length, not of their index.

        Raises:
            EncoderError: a row is longer than the encoder has positions for.
            MachineError: the GPU's memory is too small.
        """
        yield from encoded_rows(
            self.encode_packs(rows, torch.float32), [row.length for row in rows]
        )

    def encode_packs(
        self, rows: Sequence[TokenisedRow], dtype: torch.dtype
    ) -> Iterator[EncodedPack]:
        """Yields packs that hold every row once, shortest rows first, as soon as they are queued.

        Args:
            rows: none longer than the encoder has positions for.
            dtype: precision of the states that are brought to the CPU.

        Raises:
            EncoderError: a row is longer.
            MachineError: the GPU's memory is too small.
        """
        lengths = [row.length for row in rows]
        if max(lengths, default=0) > self._loaded.positions:
            raise EncoderError(
                f"a row of {max(lengths)} tokens: the encoder has positions for "
                f"{self._loaded.positions}"
            )
        started = self._packed if self.arrangement.packed else self._batched
        try:
            yield from started(rows, dtype)
        except RuntimeError as error:  # CUDA and MPS have different ones for this
            if self.device.type == "cpu" or "out of memory" not in str(error):
                raise
            raise MachineError(
                f"{self.device}: out of memory with {self.pack_tokens} tokens at once; "
                f"set ICEHOUSE_GPU_TOKENS to less than {self.pack_tokens}"
            ) from None

    def _packed(self, rows: Sequence[TokenisedRow], dtype: torch.dtype) -> Iterator[EncodedPack]:
        """Rows end to end, in packs of one size."""
        for numbers in pack_by_length([row.length for row in rows], self.pack_tokens):
            pack = [rows[number] for number in numbers]
            ends = np.cumsum([row.length for row in pack]).tolist()
            pieces = [
                Piece(number, end - row.length, 0, row.length)
                for number, row, end in zip(numbers, pack, ends, strict=True)
            ]
            hidden = self._run_pack(pack)
            real = {layer: states[0, : ends[-1]] for layer, states in hidden.items()}
            yield self._encoded(pieces, real, dtype)

    def _batched(self, rows: Sequence[TokenisedRow], dtype: torch.dtype) -> Iterator[EncodedPack]:
        """Rows in batches, whose shape follows from a row's own length."""
        # Every length has a batch of its own where nothing is padded; a large one would be filled
        # with repetitions for the most part.
        pads = self.arrangement is Arrangement.PADDED
        for count, padded, numbers in batches_of_one_size(
            [max(row.length, self._loaded.shortest) for row in rows],
            self.pack_tokens if pads else min(self.pack_tokens, PACK_TOKENS),
            longest=self._loaded.positions,
            step=PADDED_STEP if pads else 1,
        ):
            batch = [rows[number] for number in numbers]
            ends = np.cumsum([row.length for row in batch]).tolist()
            pieces = [
                Piece(number, end - row.length, 0, row.length)
                for number, row, end in zip(numbers, batch, ends, strict=True)
            ]
            real = np.zeros((count, padded), bool)
            for place, row in enumerate(batch):
                real[place, : row.length] = True
            places = {"places": np.flatnonzero(real).astype(np.int32)}
            hidden = self._run_batch(batch, count, padded)
            chosen = self._transfer.upload(places)["places"]
            states = {
                layer: values.flatten(0, 1).index_select(0, chosen)
                for layer, values in hidden.items()
            }
            yield self._encoded(pieces, states, dtype)

    def _run_pack(self, pack: Sequence[TokenisedRow]) -> dict[int, Tensor]:
        """States of (1, tokens, width): the pack's rows end to end, then dummy rows."""
        dummies = dummy_lengths(sum(row.length for row in pack), self.pack_tokens)
        rest = np.zeros(sum(dummies), np.int32)
        lengths = [*(row.length for row in pack), *dummies]
        positions = [
            *(self._positions(row.input_ids) for row in pack),
            *(self._positions(np.zeros(length, np.int32)) for length in dummies),
        ]
        return self._run(
            {
                "input_ids": np.concatenate([*(row.input_ids for row in pack), rest])[None],
                "token_type_ids": np.concatenate([*(row.segment_ids for row in pack), rest])[None],
                "position_ids": np.concatenate(positions)[None],
            },
            lengths,
        )

    def _run_batch(
        self, batch: Sequence[TokenisedRow], count: int, padded: int
    ) -> dict[int, Tensor]:
        """States of (count, padded, width): the batch's rows, repeated to fill it."""
        ids = np.full((count, padded), self._loaded.padding, np.int32)
        segments = np.zeros((count, padded), np.int32)
        mask = np.zeros((count, padded), np.int32)
        for place in range(count):
            row = batch[place % len(batch)]
            ids[place, : row.length] = row.input_ids
            segments[place, : row.length] = row.segment_ids
            mask[place, : row.length] = 1
        return self._run({"input_ids": ids, "token_type_ids": segments, "attention_mask": mask})

    @torch.inference_mode()
    def _run(
        self, arrays: dict[str, npt.NDArray[np.int32]], lengths: Sequence[int] | None = None
    ) -> dict[int, Tensor]:
        """Runs the model, or on a GPU queues it.

        Args:
            arrays: what it is given.
            lengths: those of the rows, where they lie end to end.
        """
        if not self._loaded.segments:
            del arrays["token_type_ids"]
        bounds = {} if lengths is None else {"bounds": row_bounds(lengths)}
        tensors: dict[str, Any] = self._transfer.upload({**arrays, **bounds})
        if lengths is not None:
            tensors["rows"] = RowLayout.of(
                lengths, tensors.pop("bounds"), causal=self.arrangement is Arrangement.PACKED_CAUSAL
            )
        for name in arrays:
            tensors[name] = tensors[name].long()
        return run_layers(self._loaded, tensors, self.layers)

    @torch.inference_mode()
    def _encoded(
        self, pieces: list[Piece], states: dict[int, Tensor], dtype: torch.dtype
    ) -> EncodedPack:
        """Converts states where they were computed, and begins to bring them to the CPU."""
        converted = {layer: values.to(dtype) for layer, values in states.items()}
        # The least and the largest are finite if all are, and a NaN is both.
        extremes = [torch.stack(torch.aminmax(values)) for values in converted.values()]
        wait = self._transfer.download({**converted, _FINITE: torch.stack(extremes)})

        def fetch() -> PackStates:
            found = wait()
            finite = found.pop(_FINITE).isfinite().all(1).tolist()
            return PackStates(found, dict(zip(found, finite, strict=True)))

        return EncodedPack(pieces, fetch)

    def _positions(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """(tokens,) the position of each token of one row."""
        if not self._loaded.counts_from_padding:
            return np.arange(len(ids), dtype=np.int32)
        real = (ids != self._loaded.padding).astype(np.int32)
        positions: npt.NDArray[np.int32] = (
            np.cumsum(real, dtype=np.int32) * real + self._loaded.padding
        )
        return positions
