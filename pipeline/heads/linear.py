"""A linear layer whose rows do not depend on each other's number, to the last bit, on CPUs."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.core.environment import one_thread
from pipeline.core.kernels import MINIMUM_ROWS, VECTOR_WIDTH
from pipeline.heads.fused import is_fused


class BatchInvariantLinear(nn.Linear):
    """``torch.nn.Linear``, computed at sizes for which a row's bits are its own.

    Zeros are added to rows, inputs and outputs where there are too few, and dropped again: small
    kernels round by where a row stands, and so do inputs that do not fill vectors. Where nothing is
    learnt, one thread computes alone: of 21 or 32 outputs, several take parts that depend on the
    number of rows (on an AMD EPYC, two and three of them).
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """(rows, outputs) from (rows, inputs)."""
        if is_fused(input.device):
            return super().forward(input)
        rows = max(0, MINIMUM_ROWS - input.shape[0])
        inputs = -self.in_features % VECTOR_WIDTH
        outputs = max(0, MINIMUM_ROWS - self.out_features)
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if rows or inputs:
            input = F.pad(input, (0, inputs, 0, rows))  # noqa: A001
        if inputs or outputs:
            weight = F.pad(weight, (0, inputs, 0, outputs))
            bias = F.pad(bias, (0, outputs))
        with nullcontext() if torch.is_grad_enabled() else one_thread():
            result = F.linear(input, weight, bias)
        return result[: result.shape[0] - rows, : self.out_features]
