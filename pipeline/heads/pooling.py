"""Pooling: outputs at the tokens of a text to one vector for the text.

``cls``        The output at ``[CLS]``, the first token. There the forward direction has read that
               token only and the backward direction the whole text; the encoder's attention has put
               the text into both. The cheapest, and what encoders are trained to sum texts up in.
``last``       Each direction when it has read the whole text: torch's ``h_n``. For short texts, and
               for layers whose ``[CLS]`` says little, such as the middle ones.
``mean``       The mean over all tokens. For long texts: nothing has to be carried to their ends.
``max``        The maximum of each unit over all tokens (Conneau et al. 2017). Where single words
               decide.
``mean_max``   The mean and the maximum side by side, twice as wide. What ``icehouse init`` writes:
               over texts of 5 to 700 words it was the best or near it (docs/guides/your-data.md).
``attention``  A mean whose weights are learned, ``softmax(outputs @ query)`` over a text's tokens
               (Zhou et al. 2016, without their tanh). Where few of many words decide.

Tokens are all tokens of the row, special ones included. None of it depends on a text's batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pipeline.core.kernels import VECTOR_WIDTH
from pipeline.heads.fused import is_fused
from pipeline.heads.linear import BatchInvariantLinear
from pipeline.heads.packing import PackedBatch, PackedLayout
from pipeline.heads.recurrent import RecurrentNetwork


def pooled_size(pooling: str, size: int) -> int:
    """Width of what outputs of a size are pooled to."""
    return 2 * size if pooling == "mean_max" else size


class AttentionPooling(nn.Module):
    """A weighted mean over the tokens of each text.

    Args:
        width: of the outputs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = BatchInvariantLinear(width, 1)

    def forward(self, outputs: Tensor, batch: PackedBatch) -> Tensor:
        """(batch, width) from (tokens, width)."""
        if is_fused(outputs.device):
            weights = _padded(self.query(outputs), batch, -torch.inf).softmax(0)
            return (weights * _padded(outputs, batch, 0)).sum(0)
        # As wide as a vector, so that every score is treated alike.
        scores = self.query(outputs).expand(-1, VECTOR_WIDTH).contiguous()
        highest = max_of_texts(scores.detach(), batch).index_select(0, batch.owners)
        weights = (scores - highest).exp()
        total = sum_of_texts(weights, batch)[:, :1]
        return sum_of_texts(outputs * weights[:, :1], batch) / total


def pool(
    recurrent: RecurrentNetwork,
    tokens: Tensor,
    batch: PackedBatch,
    pooling: str,
    attention: AttentionPooling | None,
) -> Tensor:
    """Runs a recurrent network over texts and pools its outputs.

    Args:
        recurrent: the network.
        tokens: (tokens, input_size), the texts one after another.
        batch: their layout.
        pooling: ``cls``, ``last``, ``mean``, ``max``, ``mean_max`` or ``attention``.
        attention: for ``attention``.

    Returns:
        (batch, ``pooled_size``).
    """
    if pooling == "cls":
        return recurrent.at_first_tokens(tokens, batch)
    if pooling == "last":
        return recurrent.final_states(tokens, batch)
    outputs = recurrent(tokens, batch)
    if pooling == "max":
        return max_of_texts(outputs, batch)
    if attention is not None:
        return attention(outputs, batch)  # type: ignore[no-any-return]
    lengths = batch.index("lengths").to(outputs.dtype)
    means = sum_of_texts(outputs, batch) / lengths[:, None]
    if pooling == "mean_max":
        return torch.cat([means, max_of_texts(outputs, batch)], 1)
    return means


def sum_of_texts(values: Tensor, batch: PackedBatch) -> Tensor:
    """(batch, width): the sum over each text's tokens, one after another, of (tokens, width)."""
    if is_fused(values.device):
        return _padded(values, batch, 0).sum(0)
    return _SumOfTexts.apply(values, batch.forward, batch.owners, batch.first_tokens)  # type: ignore[no-any-return, no-untyped-call]


def max_of_texts(values: Tensor, batch: PackedBatch) -> Tensor:
    """(batch, width): the maximum over each text's tokens of (tokens, width)."""
    return _padded(values, batch, -torch.inf).max(0).values


def _padded(values: Tensor, batch: PackedBatch, blank: float) -> Tensor:
    """(longest, batch, width) from (tokens, width), filled up with a number."""
    shape = batch.longest, len(batch.lengths), values.shape[1]
    blanks = values.new_full((shape[0] * shape[1], shape[2]), blank)
    return blanks.index_copy_(0, batch.slots, values).view(shape)


class _SumOfTexts(Function):
    """Sums time step by time step: the order of a text's sum is that of its tokens, on any device.

    ``index_add`` would do, but that goes value by value on CPUs and in any order on GPUs.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, layout: PackedLayout, owners: Tensor, first: Tensor
    ) -> Tensor:
        ctx.save_for_backward(owners)
        if len(layout.sources) > len(values):
            values = F.pad(values, (0, 0, 0, 1))
        steps = values.index_select(0, layout.sources).split(layout.batch_sizes)
        total: Tensor = steps[0].clone()
        for step in steps[1:]:
            total[: len(step)] += step
        return total.index_select(0, layout.places.index_select(0, first))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_sums: Tensor) -> tuple[Tensor, None, None, None]:
        (owners,) = ctx.saved_tensors
        return d_sums.index_select(0, owners), None, None, None
