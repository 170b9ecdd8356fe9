"""The forward pass of a frozen encoder over packed rows: no padding, and pure rows.

Rows are laid end to end in one sequence, and attention runs per group of rows of equal length. A
row's states are then the same bits whatever it is packed with, given one more thing: which kernel
a matrix product takes, and how threads share it, depends on its number of rows. On an AMD CPU
products of fewer than 16 rows differed in the last bits, on an Intel CPU with 2 threads those of
fewer than 192 (1,536 inputs) or 358 (3,072 inputs), on both without regard to where in the product
a row stands. So all packs have one size: dummy rows fill them up. What was tried, on x86-64:
MiniLM with 1 to 8 threads, and attention heads of width 12 to 64 with 1 and 2. Heads of width 8,
and a single head, differed in the last bit with 2 threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.encoder.packing import pack_by_length, runs_of_equal_length
from pipeline.encoder.quiet import quiet_transformers
from pipeline.encoder.tokenise import TokenisedRow
from pipeline.errors import EncoderError

DUMMY_TOKENS = 16
"""Least tokens of a dummy row, and so of what is added to a pack."""

PACK_TOKENS = {"cpu": 1024}
"""Most tokens of the rows of a pack; on CPUs more is slower (states leave the cache)."""
PACK_TOKENS_GPU = 16384
SUPPORTED = ("bert",)
_ATTENTION = "icehouse_packed"


class FrozenEncoder:
    """A BERT in inference mode that gives hidden states of chosen layers.

    Layer 0 is the output of the embeddings, layer k that of encoder layer k.

    Args:
        folder: a materialised encoder.
        layers: the layers to give; what lies above the highest is not computed.
        device: where to compute.

    Raises:
        EncoderError: the model cannot be loaded, is of a type that is not supported, lacks
            weights, or has fewer layers than asked for.
    """

    def __init__(self, folder: Path, *, layers: Sequence[int], device: torch.device) -> None:
        self.layers = tuple(sorted(set(layers)))
        self.device = device
        model = _load(folder)
        depth = model.config.num_hidden_layers
        if self.layers[0] < 0 or self.layers[-1] > depth:
            raise EncoderError(f"{folder}: has layers 0 to {depth}, not {list(layers)}")
        # transformers reads hidden state 0 where layer 1 begins, so one layer stays.
        model.encoder.layer = model.encoder.layer[: max(1, self.layers[-1])]
        model.pooler = None
        self.width = int(model.config.hidden_size)
        self._model = model.to(device).eval().requires_grad_(False)
        self._pack_tokens = PACK_TOKENS.get(device.type, PACK_TOKENS_GPU)

    def encode(
        self, rows: Sequence[TokenisedRow]
    ) -> Iterator[tuple[int, dict[int, npt.NDArray[np.float32]]]]:
        """Yields each row's index and, by layer, its states: (tokens, width) float32.

        Rows come in order of their length, not of their index.
        """
        lengths = [row.length for row in rows]
        for pack in pack_by_length(lengths, self._pack_tokens):
            states = self._forward([rows[index] for index in pack])
            start = 0
            for index in pack:
                end = start + lengths[index]
                yield index, {layer: values[start:end] for layer, values in states.items()}
                start = end

    @torch.inference_mode()
    def _forward(self, pack: Sequence[TokenisedRow]) -> dict[int, npt.NDArray[np.float32]]:
        lengths = [row.length for row in pack]
        total = sum(lengths)
        all_lengths = [*lengths, *dummy_lengths(total, self._pack_tokens)]
        ids = np.zeros((1, sum(all_lengths)), np.int64)
        segments = np.zeros_like(ids)
        ids[0, :total] = np.concatenate([row.input_ids for row in pack])
        segments[0, :total] = np.concatenate([row.segment_ids for row in pack])
        positions = np.concatenate([np.arange(length) for length in all_lengths])
        output = self._model(
            input_ids=torch.from_numpy(ids).to(self.device),
            token_type_ids=torch.from_numpy(segments).to(self.device),
            position_ids=torch.from_numpy(positions[None]).to(self.device),
            output_hidden_states=True,
            row_runs=runs_of_equal_length(all_lengths),
        )
        return {
            layer: output.hidden_states[layer][0, :total].cpu().numpy() for layer in self.layers
        }


def dummy_lengths(tokens: int, budget: int) -> list[int]:
    """Lengths of the dummy rows that bring a pack to ``budget + DUMMY_TOKENS`` tokens.

    All are ``DUMMY_TOKENS`` long but one, which takes the rest. A single row beyond the budget has
    a pack of its own, whose size is its own alone.
    """
    missing = max(0, budget - tokens) + DUMMY_TOKENS
    count, rest = divmod(missing, DUMMY_TOKENS)
    return [*[DUMMY_TOKENS] * (count - 1), DUMMY_TOKENS + rest]


def _packed_attention(
    module: nn.Module,  # noqa: ARG001  (the signature is transformers')
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    *,
    scaling: float | None = None,
    row_runs: Sequence[tuple[int, int]],
    **_options: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention within each row of a pack.

    Args:
        query, key, value: (1, heads, tokens, head width), rows end to end.
        row_runs: ``(number of rows, length)`` of each run of rows of equal length.

    Returns:
        (1, tokens, heads, head width).
    """
    heads, width = query.shape[1], query.shape[3]
    outputs = []
    start = 0
    for count, length in row_runs:
        end = start + count * length
        # (1, heads, count * length, width) to (count, heads, length, width)
        q, k, v = (
            tensor[0, :, start:end].reshape(heads, count, length, width).transpose(0, 1)
            for tensor in (query, key, value)
        )
        output = F.scaled_dot_product_attention(q, k, v, scale=scaling)
        outputs.append(output.transpose(1, 2).reshape(count * length, heads, width))
        start = end
    return torch.cat(outputs)[None], None


def _load(folder: Path) -> Any:
    with quiet_transformers():
        from transformers import AutoConfig, AutoModel
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        ALL_ATTENTION_FUNCTIONS.register(_ATTENTION, _packed_attention)
        # No mask to build: a row attends to all of itself and to nothing else.
        ALL_MASK_ATTENTION_FUNCTIONS.register(_ATTENTION, lambda *_, **__: None)
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            if getattr(config, "is_decoder", False):
                raise EncoderError(f"{folder}: is configured as a decoder; supported are encoders")
            if config.model_type not in SUPPORTED:
                raise EncoderError(
                    f"{folder}: is a model of type {config.model_type!r}; supported are encoders "
                    f"of type {', '.join(SUPPORTED)}"
                )
            model, info = AutoModel.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                dtype=torch.float32,
                attn_implementation=_ATTENTION,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise EncoderError(f"{folder}: cannot be loaded: {reason}") from error
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise EncoderError(
            f"{folder}: its weights lack {len(missing)} of the model's tensors, "
            f"{missing[0]} among them; they would be random"
        )
    return model
