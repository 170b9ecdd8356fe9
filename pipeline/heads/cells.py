"""LSTM and GRU over packed batches, forward and backward, in plain PyTorch.

``torch.nn.LSTM`` is slow on CPUs for packed sequences, because its time loop leaves the fused path.
Here both directions share one product with the input and every step of the loop over time, a step
is seven operations, and the gradients of the point-wise parts are computed for all steps at once;
no gradient is computed for an input that does not need one, as cached features never do. Equations
and weights are those of ``torch.nn.LSTM`` and ``torch.nn.GRU``; the order of an LSTM's gates is our
own, so that gates that are treated alike stand side by side. Instead of tanh, which is ten times as
slow on CPUs, there is ``tanh(x) = 2 sigmoid(2 x) - 1``; the weights bring the inner factor.

Shapes: N tokens, D directions (1 or 2), P positions of a walk, R hidden width, W input width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pipeline.core.environment import one_thread
from pipeline.heads.linear import single_thread_if_wide
from pipeline.heads.packing import MINIMUM_ROWS, PackedLayout

LSTM_GATES = (3, 0, 1, 2)
"""Output, input, forget, cell: torch's gates (input, forget, cell, output) in the order of ours."""

GRU_GATES = (0, 1, 2)
"""Reset, update, new: torch's."""

_NARROW = 128
"""Hidden width up to which one thread walks alone."""


class PackedLSTM(Function):
    """``apply(tokens, w_ih, w_hh, bias, walk) -> states``.

    Args:
        tokens: (N, W), row-major.
        w_ih: (D, 4R, W); gates in the order of ``LSTM_GATES``, those of the cell gate doubled.
        w_hh: (D, 4R, R), likewise.
        bias: (D, 4R), the sum of torch's two biases, likewise.
        walk: of as many directions.

    Returns:
        (N, D * R): the hidden state at every token, one direction beside the other.
    """

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor, walk: PackedLayout
    ) -> Tensor:
        """Walks the steps in order; keeps what the gradients need."""
        directions, _, width = w_hh.shape
        scoring = not any(ctx.needs_input_grad)
        gates = _project(tokens, w_ih, bias, walk, scoring=scoring)
        negated = gates.new_empty(len(gates), width)  # cells times -1: saves an operation a step
        squashed = torch.empty_like(negated)  # s, where tanh(cell) = 1 - 2 s
        states = torch.empty_like(negated)
        recurrent = w_hh.transpose(1, 2).contiguous()
        parts = (gates, *gates.split(width, -1), negated, squashed, states)
        before, last_state, last_cell = 0, states[:0], negated[:0]
        with _walking(width, scoring=scoring):
            for rows, (now, o, i, f, g, cell, squash, state) in zip(
                walk.batch_sizes, _steps(walk, directions, *parts), strict=True
            ):
                if before:
                    earlier = _first_rows(last_state, directions, before, rows)
                    now.view(directions, rows, -1).baddbmm_(earlier, recurrent)
                now.sigmoid_()
                torch.addcmul(i, i, g, value=-2, out=cell)
                if before:
                    cell.view(directions, rows, width).addcmul_(
                        f.view(directions, rows, width),
                        _first_rows(last_cell, directions, before, rows),
                    )
                torch.add(cell, cell, out=squash).sigmoid_()  # a number, 2, would be copied
                torch.addcmul(o, o, squash, value=-2, out=state)
                before, last_state, last_cell = rows, state, cell
        ctx.save_for_backward(tokens, w_ih, w_hh, gates, negated, squashed, states)
        ctx.walk = walk
        return states.index_select(0, walk.places).view(len(tokens), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Walks the steps backwards, from gradients of the states to those of all inputs."""
        tokens, w_ih, w_hh, gates, negated, squashed, states = ctx.saved_tensors
        walk: PackedLayout = ctx.walk
        directions, _, width = w_hh.shape
        first = directions * walk.batch_sizes[0]
        o, i, f, g = gates.split(width, -1)
        # Derivatives of everything point-wise, for all steps at once.
        slopes = torch.addcmul(gates, gates, gates, value=-1)  # of sigmoids: s - s s
        by_output, by_input, by_forget, by_update = slopes.split(width, -1)
        by_output.addcmul_(by_output, squashed, value=-2)
        by_input.addcmul_(by_input, g, value=-2).neg_()
        by_forget[:first] = 0
        by_forget[first:].mul_(negated.index_select(0, walk.previous)).neg_()
        by_update.mul_(i).mul_(2)
        by_cell = torch.addcmul(squashed, squashed, squashed, value=-1).mul_(o).mul_(4)

        d_gates = torch.empty_like(gates)
        d_states = _to_walk(d_outputs.reshape(-1, width), walk)
        three = (3, width)
        parts = (
            *(d_states, by_cell, by_output, slopes[:, width:].unflatten(1, three), f, d_gates),
            *(d_gates[:, :width], d_gates[:, width:].unflatten(1, three)),
        )
        before = walk.batch_sizes[-1]
        d_cell = gates.new_zeros(directions * before, width)
        steps = list(zip(walk.batch_sizes, _steps(walk, directions, *parts), strict=True))
        with _walking(width):
            for number in reversed(range(len(steps))):
                rows, (d_state, by_c, by_o, by_three, f_t, d_now, d_o, d_three) = steps[number]
                d_cell = _with_rows(d_cell, directions, before, rows)
                d_cell.addcmul_(d_state, by_c)
                torch.mul(d_state, by_o, out=d_o)
                torch.mul(d_cell[:, None], by_three, out=d_three)
                if number:
                    d_cell.mul_(f_t)
                    more, (d_earlier, *_) = steps[number - 1]
                    _first_rows(d_earlier, directions, more, rows).baddbmm_(
                        d_now.view(directions, rows, -1), w_hh
                    )
                before = rows
        earlier = torch.zeros_like(states)
        torch.index_select(states, 0, walk.previous, out=earlier[first:])
        by_token = _by_token(d_gates, walk, directions)
        d_w_hh = _weight_gradient(by_token, _by_token(earlier, walk, directions))
        d_tokens, d_w_ih = _input_gradients(ctx, by_token, tokens, w_ih)
        return d_tokens, d_w_ih, d_w_hh, by_token.sum(0), None


class PackedGRU(Function):
    """``apply(tokens, w_ih, w_hh, b_ih, b_hh, walk) -> states``.

    As ``PackedLSTM``, with torch's gates (reset, update, new), those of the new gate doubled, and
    torch's two biases apart: the reset gate multiplies the recurrent one of the new gate.
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor,
        b_hh: Tensor,
        walk: PackedLayout,
    ) -> Tensor:
        """Walks the steps in order; keeps what the gradients need."""
        directions, _, width = w_hh.shape
        scoring = not any(ctx.needs_input_grad)
        gates = _project(tokens, w_ih, b_ih, walk, scoring=scoring)
        states = gates.new_empty(len(gates), width)
        given = torch.empty_like(gates)  # what the state before gives to the gates
        recurrent = w_hh.transpose(1, 2).contiguous()
        minus_one = gates.new_tensor(-1.0)
        r, z, n = gates.split(width, -1)
        parts = (
            gates[:, : 2 * width],
            r,
            z,
            n,
            given,
            given[:, : 2 * width],
            given[:, 2 * width :],
        )
        before, last = 0, states[:0]
        with _walking(width, scoring=scoring):
            for rows, (sigmoids, r_t, z_t, n_t, now, now_sigmoids, now_new, state) in zip(
                walk.batch_sizes, _steps(walk, directions, *parts, states), strict=True
            ):
                by_direction = now.view(directions, rows, -1)
                if before:
                    earlier = _first_rows(last, directions, before, rows)
                    torch.baddbmm(b_hh[:, None], earlier, recurrent, out=by_direction)
                else:
                    by_direction.copy_(b_hh[:, None])
                sigmoids.add_(now_sigmoids).sigmoid_()
                n_t.addcmul_(r_t, now_new).sigmoid_()
                torch.add(minus_one, n_t, alpha=2, out=n_t)
                # h = (1 - z) n + z h'
                torch.addcmul(n_t, n_t, z_t, value=-1, out=state)
                if before:
                    state.view(directions, rows, width).addcmul_(
                        z_t.view(directions, rows, width), earlier
                    )
                before, last = rows, state
        candidates = given[:, 2 * width :]
        ctx.save_for_backward(tokens, w_ih, w_hh, gates, candidates, states)
        ctx.walk = walk
        return states.index_select(0, walk.places).view(len(tokens), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Walks the steps backwards, from gradients of the states to those of all inputs."""
        tokens, w_ih, w_hh, gates, candidates, states = ctx.saved_tensors
        walk: PackedLayout = ctx.walk
        directions, _, width = w_hh.shape
        first = directions * walk.batch_sizes[0]
        r, z, n = gates.split(width, -1)
        earlier = torch.zeros_like(states)
        torch.index_select(states, 0, walk.previous, out=earlier[first:])
        by_new = (1 - z) * (1 - n * n) / 2
        by_update = (earlier - n) * (z - z * z)
        by_reset = candidates * (r - r * r)

        d_gates = torch.empty_like(gates)
        d_given = torch.empty_like(gates)
        d_states = _to_walk(d_outputs.reshape(-1, width), walk)
        both = 2 * width
        parts = (
            *(d_states, by_new, by_update, by_reset, r, z),
            *(*d_gates.split(width, -1), d_gates[:, :both]),
            *(d_given, d_given[:, :both], d_given[:, both:]),
        )
        steps = list(zip(walk.batch_sizes, _steps(walk, directions, *parts), strict=True))
        with _walking(width):
            for number in reversed(range(len(steps))):
                rows, (d_state, by_n, by_z, by_r, r_t, z_t, d_r, d_z, d_n, *more) = steps[number]
                d_sigmoids, d_now, d_now_sigmoids, d_now_new = more
                torch.mul(d_state, by_n, out=d_n)
                torch.mul(d_state, by_z, out=d_z)
                torch.mul(d_n, by_r, out=d_r)
                d_now_sigmoids.copy_(d_sigmoids)
                torch.mul(d_n, r_t, out=d_now_new)
                if number:
                    before, (d_earlier, *_) = steps[number - 1]
                    d_earlier = _first_rows(d_earlier, directions, before, rows)
                    d_earlier.addcmul_(
                        d_state.view(directions, rows, width), z_t.view(directions, rows, width)
                    )
                    d_earlier.baddbmm_(d_now.view(directions, rows, -1), w_hh)
        by_token = _by_token(d_gates, walk, directions)
        given_by_token = _by_token(d_given, walk, directions)
        d_w_hh = _weight_gradient(given_by_token, _by_token(earlier, walk, directions))
        d_tokens, d_w_ih = _input_gradients(ctx, by_token, tokens, w_ih)
        return d_tokens, d_w_ih, d_w_hh, by_token.sum(0), given_by_token.sum(0), None


def _project(
    tokens: Tensor, w_ih: Tensor, bias: Tensor, walk: PackedLayout, *, scoring: bool
) -> Tensor:
    """(P, G): the input's share of the gates, one product for all directions."""
    few = max(0, MINIMUM_ROWS - len(tokens))
    padded = F.pad(tokens, (0, 0, 0, few)) if few else tokens
    with single_thread_if_wide(tokens.shape[1], scoring=scoring):
        gates = torch.addmm(bias.flatten(), padded, w_ih.flatten(0, 1).t())[: len(tokens)]
    return _to_walk(gates.view(-1, w_ih.shape[1]), walk)


def _to_walk(values: Tensor, walk: PackedLayout) -> Tensor:
    """(P, ...) in the order of the walk, zeros where steps are filled up, from (N * D, ...)."""
    if len(walk.sources) > len(values):
        values = F.pad(values, (0, 0, 0, 1))
    return values.index_select(0, walk.sources)


def _by_token(values: Tensor, walk: PackedLayout, directions: int) -> Tensor:
    """(N, D, ...) from (P, ...) in the order of the walk."""
    return values.index_select(0, walk.places).view(-1, directions, values.shape[1])


def _steps(walk: PackedLayout, directions: int, *values: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The part of each value that belongs to each step."""
    rows = [directions * count for count in walk.batch_sizes]
    return zip(*(value.split(rows) for value in values), strict=True)


def _first_rows(values: Tensor, directions: int, before: int, rows: int) -> Tensor:
    """(D, rows, R) of the step before, whose ``before`` rows may be more: those that go on."""
    by_direction = values.view(directions, before, -1)
    return by_direction if rows == before else by_direction[:, :rows]


def _with_rows(values: Tensor, directions: int, before: int, rows: int) -> Tensor:
    """(D * rows, R) from the step after, whose ``before`` rows may be fewer: zeros for the rest."""
    if rows == before:
        return values
    more = values.new_zeros(directions, rows, values.shape[1])
    more[:, :before] = values.view(directions, before, -1)
    return more.flatten(0, 1)


def _weight_gradient(d_gates: Tensor, values: Tensor) -> Tensor:
    """(D, G, R) from gradients (N, D, G) and what the weights were multiplied by, (N, D, R)."""
    return torch.stack(
        [d_gates[:, direction].t() @ values[:, direction] for direction in range(values.shape[1])]
    )


def _input_gradients(
    ctx: Any, d_gates: Tensor, tokens: Tensor, w_ih: Tensor
) -> tuple[Tensor | None, Tensor]:
    """Gradients of the tokens (N, W), where needed, and of their weights (D, G, W)."""
    flat = d_gates.flatten(1)
    d_w_ih = (flat.t() @ tokens).view_as(w_ih)
    return (flat @ w_ih.flatten(0, 1) if ctx.needs_input_grad[0] else None), d_w_ih


def _walking(width: int, *, scoring: bool = False) -> AbstractContextManager[None]:
    """Lets one thread walk the steps of a narrow network, and those of any that only scores.

    A step is too short to share; what is done for all steps at once still is. This goes by the
    width alone, so that it is the same for every batch. A wide step is worth sharing, but three
    threads, say, part it where no vector ends, and its last bits then depend on the batch: learning
    may do so, scores may not.
    """
    return one_thread() if scoring or width <= _NARROW else nullcontext()
