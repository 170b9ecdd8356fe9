"""Scalar mix: several layers of the encoder as one, by learned weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.heads.fused import is_fused


class LayerMix(nn.Module):
    """``scale * sum(softmax(weights)[k] * layer[k])`` (Peters et al. 2018, equation 1).

    Args:
        layers: how many layers are mixed; all weigh the same to begin with.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(()))

    @property
    def shares(self) -> Tensor:
        """(layers,) how much of each layer is in the mix; they add up to 1."""
        return self.weights.softmax(0)

    def forward(self, tokens: Tensor) -> Tensor:
        """(tokens, width) from (tokens, layers * width), the layers side by side."""
        layers = tokens.unflatten(1, (len(self.weights), -1))
        shares = self.scale * self.shares
        if is_fused(tokens.device):
            return torch.matmul(shares, layers)
        # Layer by layer: a sum whose bits do not depend on how many tokens there are.
        mixed: Tensor = layers[:, 0] * shares[0]
        for layer in range(1, len(self.weights)):
            mixed = mixed + layers[:, layer] * shares[layer]
        return mixed
