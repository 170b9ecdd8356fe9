"""Layers of a recurrent network by torch's own packed path: one call of cuDNN on CUDA.

Torch is called a layer at a time, so that dropout in between stays the head's own, and one
direction at a time where the head reads one only. Parameters have torch's names and order already.
``_VF`` is what ``torch.nn.LSTM`` itself calls; the same call runs on any device.

Shapes: N tokens, B sequences, D directions (1 or 2), W input width, H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import _VF, Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from pipeline.heads.packing import Directions, PackedBatch

_PER_DIRECTION = 4  # weight_ih, weight_hh, bias_ih, bias_hh


def library_outputs(
    cell: str,
    weights: Sequence[Tensor],
    tokens: Tensor,
    batch: PackedBatch,
    directions: Directions,
) -> Tensor:
    """Outputs of a layer at every token.

    Args:
        cell: ``lstm`` or ``gru``.
        weights: torch's four parameters of each direction.
        tokens: (N, W), the sequences one after another.
        batch: their layout.
        directions: which the layer has.

    Returns:
        (N, D * H), in the order of ``tokens``.
    """
    outputs, _ = _run(cell, weights, tokens, batch, directions)
    if batch.longest == 1:
        return outputs
    order, inverse = batch.sorted_tokens(_reading(directions))
    return _permute(outputs, inverse, order)


def library_final_states(
    cell: str,
    weights: Sequence[Tensor],
    tokens: Tensor,
    batch: PackedBatch,
    directions: Directions,
) -> Tensor:
    """(B, D * H): the state of each direction when it has read the whole sequence."""
    _, final = _run(cell, weights, tokens, batch, directions)
    states = final.transpose(0, 1).flatten(1)
    order, inverse = batch.sorted_sequences
    return _permute(states, inverse, order)


def _run(
    cell: str,
    weights: Sequence[Tensor],
    tokens: Tensor,
    batch: PackedBatch,
    directions: Directions,
) -> tuple[Tensor, Tensor]:
    """(N, D * H) outputs in packed order, and (D, B, H) states after the last step."""
    if batch.longest > 1:  # sequences of one token are in packed order already
        tokens = _permute(tokens, *batch.sorted_tokens(_reading(directions)))
    width = weights[1].shape[1]
    zeros = tokens.new_zeros(len(directions), len(batch.lengths), width)
    _in_one_chunk(cell, weights, tokens.shape[1], width)
    # A layer by itself has no dropout; what torch calls training is whether gradients follow.
    rest = (list(weights), True, 1, 0.0, torch.is_grad_enabled(), len(directions) == 2)
    if cell == "gru":
        outputs, final = call_library(cell, tokens, batch.batch_sizes, zeros, *rest)
    else:
        outputs, final, _ = call_library(cell, tokens, batch.batch_sizes, [zeros, zeros], *rest)
    return outputs, final


def call_library(cell: str, *arguments: Any) -> tuple[Tensor, ...]:
    """Torch's function on packed sequences: outputs in packed order, then the last states."""
    function = _VF.lstm if cell == "lstm" else _VF.gru
    outputs: tuple[Tensor, ...] = function(*arguments)
    return outputs


def _reading(directions: Directions) -> str:
    """The direction in which tokens are given to torch, which turns a second one around itself."""
    return directions[0]


def _in_one_chunk(cell: str, weights: Sequence[Tensor], input_size: int, width: int) -> None:
    """Lets the weights of a layer share memory as cuDNN reads them, which copies them otherwise.

    Done once for each layer, in place, as by ``torch.nn.LSTM.flatten_parameters``. Weights that
    share memory already are left as they are.
    """
    first = weights[0]
    alone = first.untyped_storage().nbytes() == first.nbytes
    if not alone or not first.is_cuda or not torch.backends.cudnn.is_acceptable(first):
        return
    from torch.backends.cudnn import rnn

    # Not in inference mode, where the weights would lose the right to be learnt.
    with torch.inference_mode(False), torch.no_grad(), torch.cuda.device_of(first):
        torch._cudnn_rnn_flatten_weight(  # noqa: SLF001  (as torch.nn.LSTM does)
            list(weights),
            _PER_DIRECTION,
            input_size,
            rnn.get_cudnn_mode(cell.upper()),
            width,
            0,  # no projection
            1,
            False,
            len(weights) > _PER_DIRECTION,
        )


def _permute(values: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    return _Permute.apply(values, order, inverse)  # type: ignore[no-any-return, no-untyped-call]


class _Permute(Function):
    """Rows in another order. Its gradient is a permutation too; that of ``index_select`` adds."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return values.index_select(0, order)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return d_output.index_select(0, inverse), None, None
