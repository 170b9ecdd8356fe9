"""Fused GELU: inside the matrix product before it, where that is faster, on CPUs.

A feed-forward layer is four times as wide as the rest of a BERT. Applied on its own, GELU reads and
writes all of it once more; oneDNN applies it to what a product has just computed. The operator is
the one that torch's own compiler emits for the two. It gave the same bits where it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

_FOLLOWED_BY_GELU = (
    ("dense", "intermediate_act_fn"),  # BERT and most of its kind
    ("lin1", "activation"),  # DistilBERT
    ("ffn", "activation"),  # ALBERT
)
"""Names of a linear layer and of the activation that is applied to what it gives."""


class LinearGelu(nn.Module):
    """``gelu(linear(x))``, in one operator.

    Args:
        linear: the layer, with a bias.
        rows: of the inputs that are usual, for which the weights are laid out.
    """

    def __init__(self, linear: nn.Linear, rows: int) -> None:
        super().__init__()
        weight = linear.weight.detach().clone()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, rows)  # noqa: SLF001
        self._bias = linear.bias.detach()

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), float32."""
        output: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            inputs, self._weight, self._bias, "gelu", [], "none"
        )
        return output


def fuse_gelu(model: nn.Module, rows: int) -> None:
    """Replaces linear layers that GELU follows, where this torch can; the model stays on the CPU.

    Args:
        model: in float32.
        rows: of the inputs that are usual.
    """
    if not (torch.backends.mkldnn.is_available() and _has_operators()):
        return
    for module, linear_name, activation_name in list(linears_before_gelu(model)):
        linear = getattr(module, linear_name)
        if linear.bias is not None:
            setattr(module, linear_name, LinearGelu(linear, rows))
            setattr(module, activation_name, nn.Identity())


def linears_before_gelu(model: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yields modules with a linear layer that GELU follows, and the names of the two in them."""
    from transformers.activations import GELUActivation

    for module in model.modules():
        for linear_name, activation_name in _FOLLOWED_BY_GELU:
            if isinstance(getattr(module, linear_name, None), nn.Linear) and isinstance(
                getattr(module, activation_name, None), GELUActivation
            ):
                yield module, linear_name, activation_name


def _has_operators() -> bool:
    return all(
        hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
    )
