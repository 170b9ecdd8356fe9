"""LSTM and GRU over packed batches, forward and backward, in plain PyTorch.

``torch.nn.LSTM`` is slow on CPUs for packed sequences, because its time loop leaves the fused path.
Here the input's matrix products are one per direction and layer, both directions share the loop
over time, and the gradients of the point-wise parts are computed for all steps at once; no gradient
is computed for an input that does not need one, as cached features never do. Equations and layout
of the weights are those of ``torch.nn.LSTM`` and ``torch.nn.GRU``.

Shapes: D directions (1 or 2), P packed positions, R hidden width, W input width, G = 4R or 3R
gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class PackedLSTM(Function):
    """``apply(inputs, w_ih, w_hh, bias, batch_sizes, previous) -> states``.

    Args:
        inputs: (D, P, W), the tokens in the order of each direction's walk.
        w_ih: (D, 4R, W); gates in the order input, forget, cell, output.
        w_hh: (D, 4R, R).
        bias: (D, 4R), the sum of torch's two biases.
        batch_sizes: rows of each step.
        previous: as in ``PackedBatch``.

    Returns:
        (P, D, R): the hidden state at every position.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        bias: Tensor,
        batch_sizes: Sequence[int],
        previous: Tensor,
    ) -> Tensor:
        """Walks the steps in order; keeps what the gradients need."""
        gates = _project(inputs, w_ih, bias)
        positions, directions, _ = gates.shape
        width = w_hh.shape[2]
        cells = inputs.new_empty(positions, directions, width)
        squashed = torch.empty_like(cells)
        states = torch.empty_like(cells)
        recurrent = [matrix.t().contiguous() for matrix in w_hh]
        start = before = 0
        for step, rows in enumerate(batch_sizes):
            now = gates[start : start + rows]
            if step:
                state = states[before : before + rows]
                for direction, matrix in enumerate(recurrent):
                    now[:, direction].addmm_(state[:, direction], matrix)
            now[..., : 2 * width].sigmoid_()
            now[..., 2 * width : 3 * width].tanh_()
            now[..., 3 * width :].sigmoid_()
            i, f, g, o = now.split(width, -1)
            cell = cells[start : start + rows]
            torch.mul(i, g, out=cell)
            if step:
                cell.addcmul_(f, cells[before : before + rows])
            squash = squashed[start : start + rows]
            torch.tanh(cell, out=squash)
            torch.mul(o, squash, out=states[start : start + rows])
            before, start = start, start + rows
        ctx.save_for_backward(inputs, w_ih, w_hh, gates, cells, squashed, states, previous)
        ctx.batch_sizes = batch_sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Walks the steps backwards, from gradients of ``states`` to those of all inputs."""
        inputs, w_ih, w_hh, gates, cells, squashed, states, previous = ctx.saved_tensors
        batch_sizes: Sequence[int] = ctx.batch_sizes
        width = w_hh.shape[2]
        first = batch_sizes[0]
        i, f, g, o = gates.split(width, -1)
        # Derivatives of everything point-wise, for all steps at once.
        by_output = squashed * (o - o * o)
        by_cell = o * (1 - squashed * squashed)
        by_input = g * (i - i * i)
        by_update = i * (1 - g * g)
        by_forget = torch.zeros_like(cells)
        torch.mul(cells.index_select(0, previous), (f - f * f)[first:], out=by_forget[first:])

        d_gates = torch.empty_like(gates)
        d_state = d_states.new_zeros(first, d_states.shape[1], width)
        d_cell = torch.zeros_like(d_state)
        end = d_states.shape[0]
        for step in range(len(batch_sizes) - 1, -1, -1):
            rows = batch_sizes[step]
            now = slice(end - rows, end)
            d_h = d_state[:rows].add_(d_states[now])
            d_c = d_cell[:rows].addcmul_(d_h, by_cell[now])
            d_i, d_f, d_g, d_o = d_gates[now].split(width, -1)
            torch.mul(d_c, by_input[now], out=d_i)
            torch.mul(d_c, by_forget[now], out=d_f)
            torch.mul(d_c, by_update[now], out=d_g)
            torch.mul(d_h, by_output[now], out=d_o)
            if step:
                d_c.mul_(f[now])
                for direction, matrix in enumerate(w_hh):
                    torch.mm(d_gates[now][:, direction], matrix, out=d_h[:, direction])
            end -= rows
        earlier = states.index_select(0, previous)
        d_w_hh = _outer(d_gates[first:], earlier)
        return (
            *_input_gradients(ctx, d_gates, inputs, w_ih),
            d_w_hh,
            d_gates.sum(0),
            None,
            None,
        )


class PackedGRU(Function):
    """``apply(inputs, w_ih, w_hh, b_ih, b_hh, batch_sizes, previous) -> states``.

    As ``PackedLSTM``, with gates in the order reset, update, new, and torch's two biases apart:
    the reset gate multiplies the recurrent one of the new gate.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor,
        b_hh: Tensor,
        batch_sizes: Sequence[int],
        previous: Tensor,
    ) -> Tensor:
        """Walks the steps in order; keeps what the gradients need."""
        gates = _project(inputs, w_ih, b_ih)
        positions, directions, _ = gates.shape
        width = w_hh.shape[2]
        states = inputs.new_empty(positions, directions, width)
        candidates = b_hh[:, 2 * width :].expand(positions, directions, width).clone()
        recurrent = [matrix.t().contiguous() for matrix in w_hh]
        gates[..., : 2 * width] += b_hh[:, : 2 * width]
        start = before = 0
        for step, rows in enumerate(batch_sizes):
            now = gates[start : start + rows]
            candidate = candidates[start : start + rows]
            state = states[before : before + rows]
            if step:
                for direction, matrix in enumerate(recurrent):
                    now[:, direction, : 2 * width].addmm_(
                        state[:, direction], matrix[:, : 2 * width]
                    )
                    candidate[:, direction].addmm_(state[:, direction], matrix[:, 2 * width :])
            now[..., : 2 * width].sigmoid_()
            r, z, n = now.split(width, -1)
            n.addcmul_(r, candidate).tanh_()
            # h = (1 - z) n + z h' = n + z (h' - n)
            new = states[start : start + rows]
            torch.mul(n, z, out=new)
            torch.sub(n, new, out=new)
            if step:
                new.addcmul_(z, state)
            before, start = start, start + rows
        ctx.save_for_backward(inputs, w_ih, w_hh, gates, candidates, states, previous)
        ctx.batch_sizes = batch_sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Walks the steps backwards, from gradients of ``states`` to those of all inputs."""
        inputs, w_ih, w_hh, gates, candidates, states, previous = ctx.saved_tensors
        batch_sizes: Sequence[int] = ctx.batch_sizes
        width = w_hh.shape[2]
        first = batch_sizes[0]
        r, z, n = gates.split(width, -1)
        earlier = torch.zeros_like(states)
        torch.index_select(states, 0, previous, out=earlier[first:])
        by_new = (1 - z) * (1 - n * n)
        by_update = (earlier - n) * (z - z * z)
        by_reset = candidates * (r - r * r)

        d_gates = torch.empty_like(gates)
        d_recurrent = torch.empty_like(gates)
        d_state = d_states.new_zeros(first, d_states.shape[1], width)
        end = d_states.shape[0]
        for step in range(len(batch_sizes) - 1, -1, -1):
            rows = batch_sizes[step]
            now = slice(end - rows, end)
            d_h = d_state[:rows].add_(d_states[now])
            d_r, d_z, d_n = d_gates[now].split(width, -1)
            torch.mul(d_h, by_new[now], out=d_n)
            torch.mul(d_h, by_update[now], out=d_z)
            torch.mul(d_n, by_reset[now], out=d_r)
            d_recurrent[now][..., : 2 * width] = d_gates[now][..., : 2 * width]
            torch.mul(d_n, r[now], out=d_recurrent[now][..., 2 * width :])
            if step:
                d_h.mul_(z[now])
                for direction, matrix in enumerate(w_hh):
                    d_h[:, direction].addmm_(d_recurrent[now][:, direction], matrix)
            end -= rows
        d_w_hh = _outer(d_recurrent[first:], earlier[first:])
        return (
            *_input_gradients(ctx, d_gates, inputs, w_ih),
            d_w_hh,
            d_gates.sum(0),
            d_recurrent.sum(0),
            None,
            None,
        )


def _project(inputs: Tensor, w_ih: Tensor, bias: Tensor) -> Tensor:
    """(P, D, G): the input's share of the gates, in one product per direction."""
    directions, positions, _ = inputs.shape
    gates = inputs.new_empty(positions, directions, w_ih.shape[1])
    for direction in range(directions):
        torch.addmm(
            bias[direction], inputs[direction], w_ih[direction].t(), out=gates[:, direction]
        )
    return gates


def _outer(d_gates: Tensor, values: Tensor) -> Tensor:
    """(D, G, R): gradient of recurrent weights from (P, D, G) gradients and (P, D, R) states."""
    return torch.stack(
        [d_gates[:, direction].t() @ values[:, direction] for direction in range(values.shape[1])]
    )


def _input_gradients(
    ctx: Any, d_gates: Tensor, inputs: Tensor, w_ih: Tensor
) -> tuple[Tensor | None, Tensor]:
    """Gradients of the inputs (D, P, W), where needed, and of their weights (D, G, W)."""
    directions = range(w_ih.shape[0])
    d_w_ih = torch.stack([d_gates[:, d].t() @ inputs[d] for d in directions])
    if not ctx.needs_input_grad[0]:
        return None, d_w_ih
    return torch.stack([d_gates[:, d] @ w_ih[d] for d in directions]), d_w_ih
