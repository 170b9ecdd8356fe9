"""Linear layers in 8 bits, on CPUs that multiply such numbers.

Weights are rounded once, with a scale per output; inputs as they come, with a scale and an offset
per token (Krishnamoorthi 2018, section 2, has both kinds). The sums of products are of integers and
exact, in whatever order threads take them, so that a row's states depend on its company no more
than they do in float32. Attention, norms and embeddings stay in float32.

Offsets, and not the plain largest magnitude, because GELU gives few values below zero and norms
have dimensions that stand out to one side. With MiniLM on tweets, states are off by 5% so and by 8%
without (root mean square), at the same speed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from pipeline.core.errors import MachineError
from pipeline.encoder.kernels import linears_before_gelu

_SAME_INPUT = (
    ("query", "key", "value"),  # BERT and most of its kind
    ("q_lin", "k_lin", "v_lin"),  # DistilBERT
    ("q", "k", "v"),  # MPNet
)
"""Names of linear layers of one module that read the same tensor, which is rounded once."""

_WIDEST = 1 << 16
"""Inputs of a layer whose sums fit 32 bits: 255 times 127 for each."""

_SMALLEST_SCALE = 2.0**-100
"""Of inputs that are all zero; its reciprocal is finite."""


class Quantised(NamedTuple):
    """Inputs as ``scale * values + offset``.

    Attributes:
        values: (tokens, inputs) uint8.
        scale: (tokens, 1) float32.
        offset: (tokens, 1) float32, the smallest input, or zero.
    """

    values: Tensor
    scale: Tensor
    offset: Tensor


def quantise(inputs: Tensor) -> Quantised:
    """Rounds each token's inputs to 256 steps from its smallest value, or zero, to its largest.

    Args:
        inputs: (..., inputs) float32.
    """
    inputs = inputs.flatten(0, -2)
    offset = inputs.amin(1, keepdim=True).clamp_(max=0)
    span = inputs.amax(1, keepdim=True).clamp_(min=0).sub_(offset)
    scale = span.div_(255).clamp_(min=_SMALLEST_SCALE)
    steps = scale.reciprocal()
    # A half, since the conversion cuts off. addcmul would be one pass, and slower: torch vectorises
    # operations with one number per row, not those with two.
    values = torch.mul(inputs, steps).add_(0.5 - offset * steps).to(torch.uint8)
    return Quantised(values, scale, offset)


class SharedInput:
    """``quantise`` for layers that read the same tensor one after another: once for all of them.

    Args:
        readers: how many layers; what the last of them has read is forgotten.
    """

    def __init__(self, readers: int) -> None:
        self._readers = readers
        self._left = 0
        self._last: tuple[Tensor, Quantised] | None = None

    def __call__(self, inputs: Tensor) -> Quantised:
        """As ``quantise``."""
        if self._last is None or self._last[0] is not inputs:
            self._last = (inputs, quantise(inputs))
            self._left = self._readers
        quantised = self._last[1]
        self._left -= 1
        if not self._left:
            self._last = None
        return quantised


class Int8Linear(nn.Module):
    """A linear layer that multiplies in 8 bits, with GELU after it or without.

    Args:
        linear: the layer, in float32.
        rows: of the inputs that are usual, for which the weights are laid out.
        gelu: whether GELU follows.
        quantise: of the inputs; layers that read the same ones share it.
    """

    weight: None = None
    """No tensor: T5 asks for the precision of one, and lets inputs be where there is none."""

    def __init__(
        self,
        linear: nn.Linear,
        rows: int,
        *,
        gelu: bool = False,
        quantise: Callable[[Tensor], Quantised] = quantise,
    ) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = weight.abs().amax(1).div_(127).clamp_(min=_SMALLEST_SCALE)
        rounded = (weight / scale[:, None]).round_().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, [rows, weight.shape[1]])
        self._scale = scale
        self._zeros = torch.zeros(len(weight), dtype=torch.int64)
        self._of_offset = rounded.sum(1).to(torch.float32) * scale
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach()
        self._bias = bias.clone()
        self._gelu = gelu
        self._quantise = quantise

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), float32."""
        values, scale, offset = self._quantise(inputs)
        output = _product(values, self._weight, self._scale, self._zeros)
        torch.addcmul(self._bias, output, scale, out=output)
        output.addcmul_(self._of_offset, offset)
        if self._gelu:
            torch.ops.aten.gelu_(output)
        return output.view(*inputs.shape[:-1], -1)


def use_int8(model: nn.Module, rows: int) -> bool:
    """Replaces the linear layers of a model; it stays on the CPU, and the rest in float32.

    Args:
        model: in float32.
        rows: of the inputs that are usual.

    Returns:
        Whether it has any: GPT-2, for one, has layers of its own kind.
    """
    for module, linear_name, activation_name in list(linears_before_gelu(model)):
        linear = getattr(module, linear_name)
        if _fits(linear):
            setattr(module, linear_name, Int8Linear(linear, rows, gelu=True))
            setattr(module, activation_name, nn.Identity())
    for module in list(model.modules()):
        linears = {name: child for name, child in module.named_children() if _fits(child)}
        for names in _SAME_INPUT:
            if linears.keys() >= set(names):
                shared = SharedInput(len(names))
                for name in names:
                    linear = linears.pop(name)
                    setattr(module, name, Int8Linear(linear, rows, quantise=shared))
        for name, linear in linears.items():
            setattr(module, name, Int8Linear(linear, rows))
    return any(isinstance(module, Int8Linear) for module in model.modules())


def require_int8(device: torch.device) -> None:
    """Tries out whether products of 8 bits are exact here.

    Before VNNI, CPUs added pairs of products in 16 bits, which saturate. What oneDNN has no kernel
    for it computes a thousand times slower, so only processors that were tried may go on.

    Raises:
        MachineError: they are not, or cannot be computed.
    """
    needs = "compute_dtype: int8 needs an x86-64 CPU with VNNI (AVX-512, AVX or AMX)"
    if device.type != "cpu":
        raise MachineError(f"{needs}, this is {device}; use float16 or bfloat16")
    if not (_has_operators() and _is_exact()):
        raise MachineError(f"{needs}, and a torch with oneDNN; use float32")


def _fits(module: nn.Module) -> TypeGuard[nn.Linear]:
    # A subclass may compute something else, or have its weights read by its parent.
    return type(module) is nn.Linear and module.in_features <= _WIDEST


def _has_operators() -> bool:
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()
        and all(
            hasattr(torch.ops.onednn, name) for name in ("qlinear_prepack", "qlinear_pointwise")
        )
    )


def _is_exact() -> bool:
    """Whether the largest values there are have the right sums."""
    tokens, inputs, outputs = 16, 64, 32
    weight = torch.full((outputs, inputs), 127, dtype=torch.int8)
    weight[1::2] = -127
    product = _product(
        torch.full((tokens, inputs), 255, dtype=torch.uint8),
        torch.ops.onednn.qlinear_prepack(weight, [tokens, inputs]),
        torch.ones(outputs),
        torch.zeros(outputs, dtype=torch.int64),
    )
    return torch.equal(product, (255.0 * weight.to(torch.float32).sum(1)).expand(tokens, -1))


def _product(values: Tensor, weight: Tensor, scale: Tensor, zeros: Tensor) -> Tensor:
    """(tokens, outputs) float32: the sums of products, each times its output's scale.

    Inputs are unsigned, since for signed ones oneDNN takes its reference kernel here.
    """
    output: Tensor = torch.ops.onednn.qlinear_pointwise(
        values, 1.0, 0, weight, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return output
