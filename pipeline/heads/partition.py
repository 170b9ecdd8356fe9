"""Sums over all label sequences of a linear chain: the forward-backward algorithm (Rabiner 1989).

A step of the algorithm adds up, for each label, the weights of all paths that lead to it. Done in
logarithms, that is an exponential per pair of labels and step. Here weights themselves are kept,
scaled at each word so that they sum to one (Rabiner 1989, section V.A): then a step is one product
with a matrix. Weights that are very small beside others become zero in that. Whether any that
matters did is seen from the sums; a sequence in which that happens, which takes scores hundreds
apart, is computed again in logarithms, alone.

A sequence's results do not depend on its batch, to the last bit, on CPUs: products have at least
``MINIMUM_ROWS``, in whole blocks of rows, and whole vectors of labels, and ``_whole_vectors`` does
the same for exponentials and logarithms.

Shapes: P packed positions, L labels, L' labels filled up to a multiple of ``VECTOR_WIDTH``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pipeline.core.environment import one_thread
from pipeline.core.kernels import MINIMUM_ROWS, VECTOR_WIDTH
from pipeline.heads.chain import Chain, sum_in_logarithms
from pipeline.heads.packing import PackedBatch

_BLOCK = 4
"""Rows that a product in float64 takes at once on AMD's processors; those left over are rounded
otherwise. Threads would part the rows anywhere, so that one takes them all."""

_SERIAL = 1 << 14
"""Numbers in one call, few enough that torch does not share them among threads: a thread's share
would end somewhere inside a vector."""


@dataclass(frozen=True)
class ForwardState:
    """State that the forward pass leaves for the backward one.

    Attributes:
        potentials: (P, L') weights of the emissions, at most 1.
        weights: (P, L') of all paths up to a word that end in a label; they sum to 1.
        scales: (P, 1) the sums before.
        transitions: (L', L') weights of transitions, at most 1.
        end: (L',) weights of last labels, at most 1.
        inexact: (batch,) bool, sequences in which a weight that matters became zero.
    """

    potentials: Tensor
    weights: Tensor
    scales: Tensor
    transitions: Tensor
    end: Tensor
    inexact: Tensor


class LogPartition(Function):
    """``apply(emissions, transitions, start, end, batch) -> (batch,)``.

    Gradients are the expected counts of labels and transitions.

    Args:
        emissions: (words, L), the sequences one after another.
        transitions, start, end: as in ``Chain``.
        batch: layout of the sequences.
    """

    @staticmethod
    def forward(
        ctx: Any,
        emissions: Tensor,
        transitions: Tensor,
        start: Tensor,
        end: Tensor,
        batch: PackedBatch,
    ) -> Tensor:
        """Walks the steps in order; keeps what the gradients need."""
        ctx.save_for_backward(emissions, transitions, start, end)
        ctx.batch = batch
        log_partition, ctx.state = forward_pass(emissions, Chain(transitions, start, end), batch)
        return log_partition

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_output: Tensor) -> tuple[Tensor | None, ...]:
        """Expected counts, weighted by the gradient of each sequence."""
        emissions, *chain = ctx.saved_tensors
        words, transitions = backward_pass(ctx.state, emissions, Chain(*chain), ctx.batch, d_output)
        first = ctx.batch.first_tokens
        last = ctx.batch.last_tokens
        return words, transitions, words[first].sum(0), words[last].sum(0), None


def forward_pass(
    emissions: Tensor, chain: Chain, batch: PackedBatch
) -> tuple[Tensor, ForwardState]:
    """The sum over all label sequences.

    Args:
        emissions: (words, L), the sequences one after another.
        chain: scores, in the type of ``emissions``.
        batch: layout of the sequences.

    Returns:
        (batch,) logarithms of the sums, and what ``backward_pass`` needs.
    """
    wide = (0, -emissions.shape[1] % VECTOR_WIDTH)
    # Positions that fill up a step have scores of zero; nothing reads what comes of them.
    layout = batch.forward
    blank = emissions.new_zeros(layout.positions, emissions.shape[1])
    scores = _widen(blank.index_copy_(0, layout.places, emissions), wide)
    tops = scores.amax(1, keepdim=True)
    potentials = _whole_vectors(torch.exp, scores - tops)
    transitions, transitions_top = _weights(_widen(chain.transitions, wide * 2))
    start, start_top = _weights(_widen(chain.start, wide))
    end, end_top = _weights(_widen(chain.end, wide))

    arrivals = potentials.new_zeros(layout.positions + _BLOCK, potentials.shape[1])
    weights = torch.zeros_like(arrivals)
    scales = torch.empty_like(tops)
    begin = before = 0
    with one_thread():
        for step, rows in enumerate(layout.batch_sizes):
            now = slice(begin, begin + rows)
            if step:
                _product(weights, before, transitions, arrivals, begin, rows)
            else:
                arrivals[now] = start
            weight, scale = weights[now], scales[now]
            torch.mul(arrivals[now], potentials[now], out=weight)
            torch.sum(weight, 1, keepdim=True, out=scale)
            weight.div_(scale)
            before, begin = begin, begin + rows
    arrivals, weights = arrivals[: layout.positions], weights[: layout.positions]

    lengths = torch.from_numpy(batch.lengths).to(emissions.device)
    final = _row_sums(weights[layout.places[batch.last_tokens]] * end)[:, 0]
    log_partition = (lengths - 1) * transitions_top + (start_top + end_top)
    log_partition += _whole_vectors(torch.log, final)
    # Added one after another: the order of a sum decides its last bits.
    shares = (_whole_vectors(torch.log, scales) + tops)[layout.places, 0]
    sequence = batch.owners
    log_partition.index_add_(0, sequence, shares)

    # Below the smallest number, weights become zero or imprecise, and dividing by a sum enlarges
    # what is missing. If all sums are larger than this root, it stays below the precision.
    number = torch.finfo(weights.dtype)
    least = math.sqrt(number.tiny / number.eps)
    lost = ((arrivals < least) & _reached(chain, wide, batch)).any(1) | (scales[:, 0] < least)
    inexact = ~(final >= least)
    inexact[sequence[lost[layout.places]]] = True
    for index in inexact.nonzero()[:, 0].tolist():
        log_partition[index] = sum_in_logarithms(_part(emissions, batch, index), chain)[0]
    return log_partition, ForwardState(potentials, weights, scales, transitions, end, inexact)


def backward_pass(
    state: ForwardState, emissions: Tensor, chain: Chain, batch: PackedBatch, factors: Tensor
) -> tuple[Tensor, Tensor]:
    """Posterior probabilities of labels, and expected counts of transitions.

    Args:
        state: what ``forward_pass`` returned for the same arguments.
        emissions: as there.
        chain: as there.
        batch: as there.
        factors: (batch,) what the probabilities of each sequence are multiplied with.

    Returns:
        (words, L) probabilities, and (L, L) counts over all sequences.
    """
    # From each sequence's own end. Weights of all paths from after a label to the end; then with
    # the label's own emission, which is what a step adds up.
    forward, backward = batch.forward, batch.backward
    rest = state.end.repeat(backward.positions + _BLOCK, 1)
    through = torch.zeros_like(rest)
    single = state.potentials / state.scales
    through.index_copy_(0, backward.places, single.index_select(0, forward.places))
    back = state.transitions.t().contiguous()
    begin = before = 0
    with one_thread():
        for step, rows in enumerate(backward.batch_sizes):
            if step:
                _product(through, before, back, rest, begin, rows)
            through[begin : begin + rows].mul_(rest[begin : begin + rows])
            before, begin = begin, begin + rows

    labels = emissions.shape[1]
    sequence = batch.owners
    earlier = state.weights.index_select(0, forward.places)
    joint = earlier * rest.index_select(0, backward.places)
    total = _row_sums(joint)
    words = (joint / total)[:, :labels]
    later = through.index_select(0, backward.places) * (factors[sequence, None] / total)
    later[batch.first_tokens] = 0

    inexact = state.inexact.clone()
    inexact[sequence[~words.isfinite().all(1)]] = True
    again: list[int] = inexact.nonzero()[:, 0].tolist()
    if again:
        apart = inexact[sequence][:, None]
        earlier.masked_fill_(apart, 0)
        later.masked_fill_(apart, 0)
    counts = (state.transitions * (earlier[:-1].t() @ later[1:]))[:labels, :labels]
    words = words * factors[sequence, None]
    for index in again:
        _, alone, steps = sum_in_logarithms(_part(emissions, batch, index), chain)
        words[sequence == index] = alone * factors[index]
        counts = counts + steps * factors[index]
    return words, counts


def _product(
    values: Tensor, before: int, matrix: Tensor, out: Tensor, begin: int, rows: int
) -> None:
    """Multiplies rows from ``before`` with a matrix, into ``out`` from ``begin``, whole blocks.

    What that writes behind the rows is written anew by the next step, or read by nothing.
    """
    whole = -(-rows // _BLOCK) * _BLOCK
    torch.mm(values[before : before + whole], matrix, out=out[begin : begin + whole])


def _widen(scores: Tensor, by: tuple[int, ...]) -> Tensor:
    """Scores with impossible labels added, as ``F.pad`` counts them."""
    return F.pad(scores, by, value=-torch.inf)


def _weights(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Exponentials, divided by the largest of them, and the largest score."""
    top = scores.max()
    return (scores - top).exp(), top


def _row_sums(values: Tensor) -> Tensor:
    """(rows, 1) from (rows, L'): with rows added where there are few, as products have them."""
    enough = F.pad(values, (0, 0, 0, max(0, MINIMUM_ROWS - len(values))))
    return enough.sum(1, keepdim=True)[: len(values)]


def _reached(chain: Chain, wide: tuple[int, int], batch: PackedBatch) -> Tensor:
    """(P, L') bool: whether a possible path leads to a label at a position."""
    rows = batch.forward.batch_sizes
    steps = len(rows)
    possible = (chain.transitions > -torch.inf).to(chain.start.dtype)
    reached = [chain.start > -torch.inf]
    while len(reached) < steps:
        following = reached[-1].to(possible.dtype) @ possible > 0
        if torch.equal(following, reached[-1]):
            break
        reached.append(following)
    each = F.pad(torch.stack(reached), wide)
    step = torch.arange(steps, device=each.device).clamp(max=len(each) - 1)
    return each[step.repeat_interleave(torch.tensor(rows, device=each.device))]


def _part(emissions: Tensor, batch: PackedBatch, index: int) -> Tensor:
    """(words, L): the emissions of one sequence."""
    first, length = int(batch.first_tokens[index]), int(batch.lengths[index])
    return emissions[first : first + length]


def _whole_vectors(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """A function of each number, with the same instructions wherever a number stands.

    CPUs take them in whole vectors, and what is left over with other instructions.
    """
    flat = values.reshape(-1)
    flat = F.pad(flat, (0, -len(flat) % VECTOR_WIDTH), value=1.0)
    result = torch.cat([function(part) for part in flat.split(_SERIAL)])
    return result[: values.numel()].view_as(values)
