"""GRU over packed batches; ``pipeline/heads/packed_steps.py`` says how and why."""

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
)
from pipeline.heads.packing import PackedLayout

GRU_GATES = (0, 1, 2)
"""Reset, update, new: torch's."""


class PackedGRU(Function):
    """``apply(tokens, w_ih, w_hh, b_ih, b_hh, layout) -> states``.

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
        layout: PackedLayout,
    ) -> Tensor:
        """Walks the steps in order; keeps what the gradients need."""
        directions, _, width = w_hh.shape
        scoring = not any(ctx.needs_input_grad)
        gates = project_input(tokens, w_ih, b_ih, layout, scoring=scoring)
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
        with single_thread_if_narrow(width, scoring=scoring):
            for rows, (sigmoids, r_t, z_t, n_t, now, now_sigmoids, now_new, state) in zip(
                layout.batch_sizes, split_steps(layout, directions, *parts, states), strict=True
            ):
                by_direction = now.view(directions, rows, -1)
                if before:
                    earlier = first_rows(last, directions, before, rows)
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
        ctx.layout = layout
        return states.index_select(0, layout.places).view(len(tokens), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Walks the steps backwards, from gradients of the states to those of all inputs."""
        tokens, w_ih, w_hh, gates, candidates, states = ctx.saved_tensors
        layout: PackedLayout = ctx.layout
        directions, _, width = w_hh.shape
        first = directions * layout.batch_sizes[0]
        r, z, n = gates.split(width, -1)
        earlier = torch.zeros_like(states)
        torch.index_select(states, 0, layout.previous, out=earlier[first:])
        by_new = (1 - z) * (1 - n * n) / 2
        by_update = (earlier - n) * (z - z * z)
        by_reset = candidates * (r - r * r)

        d_gates = torch.empty_like(gates)
        d_given = torch.empty_like(gates)
        d_states = time_major(d_outputs.reshape(-1, width), layout)
        both = 2 * width
        parts = (
            *(d_states, by_new, by_update, by_reset, r, z),
            *(*d_gates.split(width, -1), d_gates[:, :both]),
            *(d_given, d_given[:, :both], d_given[:, both:]),
        )
        steps = list(zip(layout.batch_sizes, split_steps(layout, directions, *parts), strict=True))
        with single_thread_if_narrow(width):
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
                    d_earlier = first_rows(d_earlier, directions, before, rows)
                    d_earlier.addcmul_(
                        d_state.view(directions, rows, width), z_t.view(directions, rows, width)
                    )
                    d_earlier.baddbmm_(d_now.view(directions, rows, -1), w_hh)
        by_token = token_major(d_gates, layout, directions)
        given_by_token = token_major(d_given, layout, directions)
        d_w_hh = weight_gradient(given_by_token, token_major(earlier, layout, directions))
        d_tokens, d_w_ih = input_gradients(ctx, by_token, tokens, w_ih)
        return d_tokens, d_w_ih, d_w_hh, by_token.sum(0), given_by_token.sum(0), None
