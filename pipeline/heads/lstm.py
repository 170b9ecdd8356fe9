"""LSTM over packed batches; ``pipeline/heads/packed_steps.py`` says how and why."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pipeline.heads.packed_steps import (
    first_rows,
    input_gradients,
    project_input,
    single_thread_if_narrow,
    split_steps,
    time_major,
    token_major,
    weight_gradient,
    with_rows,
)
from pipeline.heads.packing import PackedLayout

LSTM_GATES = (3, 0, 1, 2)
"""Output, input, forget, cell: torch's gates (input, forget, cell, output) in the order of ours."""


class PackedLSTM(Function):
    """``apply(tokens, w_ih, w_hh, bias, layout) -> states``.

    Args:
        tokens: (N, W), row-major.
        w_ih: (D, 4R, W); gates in the order of ``LSTM_GATES``, those of the cell gate doubled.
        w_hh: (D, 4R, R), likewise.
        bias: (D, 4R), the sum of torch's two biases, likewise.
        layout: of as many directions.

    Returns:
        (N, D * R): the hidden state at every token, one direction beside the other.
    """

    @staticmethod
    def forward(
        ctx: Any, tokens: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor, layout: PackedLayout
    ) -> Tensor:
        """Walks the steps in order; keeps what the gradients need."""
        directions, _, width = w_hh.shape
        scoring = not any(ctx.needs_input_grad)
        gates = project_input(tokens, w_ih, bias, layout, scoring=scoring)
        negated = gates.new_empty(len(gates), width)  # cells times -1: saves an operation a step
        squashed = torch.empty_like(negated)  # s, where tanh(cell) = 1 - 2 s
        states = torch.empty_like(negated)
        recurrent = w_hh.transpose(1, 2).contiguous()
        parts = (gates, *gates.split(width, -1), negated, squashed, states)
        before, last_state, last_cell = 0, states[:0], negated[:0]
        with single_thread_if_narrow(width, scoring=scoring):
            for rows, (now, o, i, f, g, cell, squash, state) in zip(
                layout.batch_sizes, split_steps(layout, directions, *parts), strict=True
            ):
                if before:
                    earlier = first_rows(last_state, directions, before, rows)
                    now.view(directions, rows, -1).baddbmm_(earlier, recurrent)
                now.sigmoid_()
                torch.addcmul(i, i, g, value=-2, out=cell)
                if before:
                    cell.view(directions, rows, width).addcmul_(
                        f.view(directions, rows, width),
                        first_rows(last_cell, directions, before, rows),
                    )
                torch.add(cell, cell, out=squash).sigmoid_()  # a number, 2, would be copied
                torch.addcmul(o, o, squash, value=-2, out=state)
                before, last_state, last_cell = rows, state, cell
        ctx.save_for_backward(tokens, w_ih, w_hh, gates, negated, squashed, states)
        ctx.layout = layout
        return states.index_select(0, layout.places).view(len(tokens), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Walks the steps backwards, from gradients of the states to those of all inputs."""
        tokens, w_ih, w_hh, gates, negated, squashed, states = ctx.saved_tensors
        layout: PackedLayout = ctx.layout
        directions, _, width = w_hh.shape
        first = directions * layout.batch_sizes[0]
        o, i, f, g = gates.split(width, -1)
        # Derivatives of everything point-wise, for all steps at once.
        slopes = torch.addcmul(gates, gates, gates, value=-1)  # of sigmoids: s - s s
        by_output, by_input, by_forget, by_update = slopes.split(width, -1)
        by_output.addcmul_(by_output, squashed, value=-2)
        by_input.addcmul_(by_input, g, value=-2).neg_()
        by_forget[:first] = 0
        by_forget[first:].mul_(negated.index_select(0, layout.previous)).neg_()
        by_update.mul_(i).mul_(2)
        by_cell = torch.addcmul(squashed, squashed, squashed, value=-1).mul_(o).mul_(4)

        d_gates = torch.empty_like(gates)
        d_states = time_major(d_outputs.reshape(-1, width), layout)
        three = (3, width)
        parts = (
            *(d_states, by_cell, by_output, slopes[:, width:].unflatten(1, three), f, d_gates),
            *(d_gates[:, :width], d_gates[:, width:].unflatten(1, three)),
        )
        before = layout.batch_sizes[-1]
        d_cell = gates.new_zeros(directions * before, width)
        steps = list(zip(layout.batch_sizes, split_steps(layout, directions, *parts), strict=True))
        with single_thread_if_narrow(width):
            for number in reversed(range(len(steps))):
                rows, (d_state, by_c, by_o, by_three, f_t, d_now, d_o, d_three) = steps[number]
                d_cell = with_rows(d_cell, directions, before, rows)
                d_cell.addcmul_(d_state, by_c)
                torch.mul(d_state, by_o, out=d_o)
                torch.mul(d_cell[:, None], by_three, out=d_three)
                if number:
                    d_cell.mul_(f_t)
                    more, (d_earlier, *_) = steps[number - 1]
                    first_rows(d_earlier, directions, more, rows).baddbmm_(
                        d_now.view(directions, rows, -1), w_hh
                    )
                before = rows
        earlier = torch.zeros_like(states)
        torch.index_select(states, 0, layout.previous, out=earlier[first:])
        by_token = token_major(d_gates, layout, directions)
        d_w_hh = weight_gradient(by_token, token_major(earlier, layout, directions))
        d_tokens, d_w_ih = input_gradients(ctx, by_token, tokens, w_ih)
        return d_tokens, d_w_ih, d_w_hh, by_token.sum(0), None
