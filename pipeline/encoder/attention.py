"""Attention over rows that lie end to end, through transformers' attention interface.

A model that supports the interface hands its queries, keys and values to ``packed_attention``, and
with them, unread, the ``rows`` argument of its forward pass. Each row attends to all of itself,
or in a decoder each token to those before it in its row, and to nothing else, so there is no
padding and, but for sliding windows, no mask.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.encoder.packing import runs_of_equal_length

NAME = "icehouse_packed"
"""What the attention is called in a model's configuration."""


@dataclass(frozen=True)
class RowLayout:
    """Places of the rows of a pack.

    Attributes:
        runs: ``(number of rows, length)`` of each run of rows of equal length, in order.
        bounds: (rows + 1,) int32 on the device, the first token of each row, then their number.
        longest: tokens of the longest row.
        causal: whether a token attends to itself and those before it only.
    """

    runs: list[tuple[int, int]]
    bounds: Tensor
    longest: int
    causal: bool = False

    @classmethod
    def of(cls, lengths: Sequence[int], bounds: Tensor, *, causal: bool = False) -> RowLayout:
        """The layout of rows of these lengths, whose bounds are on the device already."""
        return cls(runs_of_equal_length(lengths), bounds, max(lengths), causal)


def row_bounds(lengths: Sequence[int]) -> npt.NDArray[np.int32]:
    """(rows + 1,) int32: the first token of each row, then the number of tokens."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def register() -> None:
    """Makes the attention known to transformers; repeating it does no harm."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, lambda *_, **__: None)


def packed_attention(
    module: nn.Module,  # noqa: ARG001  (the signature is transformers')
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    *,
    rows: RowLayout,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_options: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention within each row of a pack.

    Args:
        query: (1, heads, tokens, head width), rows end to end.
        key: the same, or with fewer heads that groups of query heads share.
        value: as ``key``.
        rows: where the rows lie.
        scaling: of the products, by default one over the root of the head width.
        sliding_window: tokens attend to those that are fewer than so many away.

    Returns:
        (1, tokens, heads, head width).
    """
    if _has_varlen(query.device, query.dtype, query.shape[3]):
        return _varlen(query, key, value, rows, scaling, sliding_window), None
    return _by_length(query, key, value, rows, scaling, sliding_window), None


def _by_length(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rows: RowLayout,
    scaling: float | None,
    sliding_window: int | None,
) -> Tensor:
    """Rows of equal length as one batch."""
    grouped = key.shape[1] != query.shape[1]
    outputs = []
    start = 0
    for count, length in rows.runs:
        end = start + count * length
        # (1, heads, count * length, width) to (count, heads, length, width)
        q, k, v = (
            tensor[0, :, start:end].unflatten(1, (count, length)).transpose(0, 1)
            for tensor in (query, key, value)
        )
        mask = None
        if sliding_window is not None and length > sliding_window:
            place = torch.arange(length, device=query.device)
            away = place[:, None] - place
            mask = away.abs() < sliding_window
            if rows.causal:
                mask &= away >= 0
        output = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=rows.causal and mask is None,
            scale=scaling,
            enable_gqa=grouped,
        )
        outputs.append(output.transpose(1, 2).flatten(0, 1))
        start = end
    return torch.cat(outputs)[None]


def _varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rows: RowLayout,
    scaling: float | None,
    sliding_window: int | None,
) -> Tensor:
    """One call of the GPU's kernel for sequences of different lengths, with all rows."""
    from torch.nn.attention.varlen import varlen_attn

    takes = inspect.signature(varlen_attn).parameters  # torch 2.11 has fewer
    options: dict[str, Any] = {}
    if "num_splits" in takes:
        # How keys are split depends on the longest row, and rows must not.
        options["num_splits"] = 1
    groups = query.shape[1] // key.shape[1]
    if groups > 1 and "enable_gqa" in takes:
        options["enable_gqa"] = True
    elif groups > 1:
        key, value = (tensor.repeat_interleave(groups, 1) for tensor in (key, value))
    reach = -1 if sliding_window is None else sliding_window - 1
    # (1, heads, tokens, width) to (tokens, heads, width)
    q, k, v = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))
    output = varlen_attn(
        q,
        k,
        v,
        rows.bounds,
        rows.bounds,
        rows.longest,
        rows.longest,
        scale=scaling,
        window_size=(reach, 0 if rows.causal else reach),
        **options,
    )
    assert isinstance(output, Tensor)  # noqa: S101  (a pair only where more is asked for)
    return output[None]


@cache
def _has_varlen(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether the kernel takes heads of this width here: GPUs from Ampere on, 16 bits."""
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16):
        return False
    if width % 8 or width > 256:
        return False
    return torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)
