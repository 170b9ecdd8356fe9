"""A linear layer whose rows do not depend on each other's number, to the last bit, on CPUs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

_LEAST = 16
"""Rows, inputs and outputs below this send a product to kernels for small ones, which round by
where a row stands; so do inputs that do not fill vectors of this many numbers."""


class RowPureLinear(nn.Linear):
    """``torch.nn.Linear``, computed at sizes for which a row's bits are its own.

    Zeros are added to rows, inputs and outputs where there are too few, and dropped again.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """(rows, outputs) from (rows, inputs)."""
        rows = max(0, _LEAST - input.shape[0])
        inputs = -self.in_features % _LEAST
        outputs = max(0, _LEAST - self.out_features)
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if rows or inputs:
            input = F.pad(input, (0, inputs, 0, rows))  # noqa: A001
        if inputs or outputs:
            weight = F.pad(weight, (0, inputs, 0, outputs))
            bias = F.pad(bias, (0, outputs))
        result = F.linear(input, weight, bias)
        return result[: result.shape[0] - rows, : self.out_features]
