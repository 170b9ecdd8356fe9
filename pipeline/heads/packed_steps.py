"""Steps over packed batches that LSTM and GRU share, forward and backward, in plain PyTorch.

``torch.nn.LSTM`` is slow on CPUs for packed sequences, because its time loop leaves the fused path.
Here both directions share one product with the input and every step of the loop over time, a step
is seven operations, and the gradients of the point-wise parts are computed for all steps at once;
no gradient is computed for an input that does not need one, as cached features never do. Equations
and weights are those of ``torch.nn.LSTM`` and ``torch.nn.GRU``; the order of an LSTM's gates is our
own, so that gates that are treated alike stand side by side. Instead of tanh, which is ten times as
slow on CPUs, there is ``tanh(x) = 2 sigmoid(2 x) - 1``; the weights bring the inner factor.

Shapes: N tokens, D directions (1 or 2), P positions of a packed layout, R hidden width, W input
width, G width of all gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.core.environment import one_thread
from pipeline.core.kernels import MINIMUM_ROWS
from pipeline.heads.packing import PackedLayout

_NARROW = 128
"""Hidden width up to which one thread computes steps alone."""

_WIDE = 1024
"""Inputs from which on threads may part a row's sum among them, or not, by the number of rows."""


def project_input(
    tokens: Tensor, w_ih: Tensor, bias: Tensor, layout: PackedLayout, *, scoring: bool
) -> Tensor:
    """(P, G): the input's share of the gates, one product for all directions."""
    few = max(0, MINIMUM_ROWS - len(tokens))
    padded = F.pad(tokens, (0, 0, 0, few)) if few else tokens
    # Learning may depend on the batch in the last bits, scores may not.
    alone = scoring and tokens.shape[1] >= _WIDE
    with one_thread() if alone else nullcontext():
        gates = torch.addmm(bias.flatten(), padded, w_ih.flatten(0, 1).t())[: len(tokens)]
    return time_major(gates.view(-1, w_ih.shape[1]), layout)


def time_major(values: Tensor, layout: PackedLayout) -> Tensor:
    """(P, ...) in the order of the layout, zeros where steps are filled up, from (N * D, ...)."""
    if len(layout.sources) > len(values):
        values = F.pad(values, (0, 0, 0, 1))
    return values.index_select(0, layout.sources)


def token_major(values: Tensor, layout: PackedLayout, directions: int) -> Tensor:
    """(N, D, ...) from (P, ...) in the order of the layout."""
    return values.index_select(0, layout.places).view(-1, directions, values.shape[1])


def split_steps(
    layout: PackedLayout, directions: int, *values: Tensor
) -> Iterator[tuple[Tensor, ...]]:
    """The part of each value that belongs to each step."""
    rows = [directions * count for count in layout.batch_sizes]
    return zip(*(value.split(rows) for value in values), strict=True)


def first_rows(values: Tensor, directions: int, before: int, rows: int) -> Tensor:
    """(D, rows, R) of the step before, whose ``before`` rows may be more: those that go on."""
    by_direction = values.view(directions, before, -1)
    return by_direction if rows == before else by_direction[:, :rows]


def with_rows(values: Tensor, directions: int, before: int, rows: int) -> Tensor:
    """(D * rows, R) from the step after, whose ``before`` rows may be fewer: zeros for the rest."""
    if rows == before:
        return values
    more = values.new_zeros(directions, rows, values.shape[1])
    more[:, :before] = values.view(directions, before, -1)
    return more.flatten(0, 1)


def weight_gradient(d_gates: Tensor, values: Tensor) -> Tensor:
    """(D, G, R) from gradients (N, D, G) and what the weights were multiplied by, (N, D, R)."""
    return torch.stack(
        [d_gates[:, direction].t() @ values[:, direction] for direction in range(values.shape[1])]
    )


def input_gradients(
    ctx: Any, d_gates: Tensor, tokens: Tensor, w_ih: Tensor
) -> tuple[Tensor | None, Tensor]:
    """Gradients of the tokens (N, W), where needed, and of their weights (D, G, W)."""
    flat = d_gates.flatten(1)
    d_w_ih = (flat.t() @ tokens).view_as(w_ih)
    return (flat @ w_ih.flatten(0, 1) if ctx.needs_input_grad[0] else None), d_w_ih


def single_thread_if_narrow(width: int, *, scoring: bool = False) -> AbstractContextManager[None]:
    """Lets one thread walk the steps of a narrow network, and those of any that only scores.

    A step is too short to share; what is done for all steps at once still is. This goes by the
    width alone, so that it is the same for every batch. A wide step is worth sharing, but three
    threads, say, part it where no vector ends, and its last bits then depend on the batch: learning
    may do so, scores may not.
    """
    return one_thread() if scoring or width <= _NARROW else nullcontext()
