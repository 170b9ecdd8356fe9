"""Sums over all label sequences by a tree: in as many steps as the logarithm of a length.

``pipeline.heads.partition`` walks the words of a sequence one after another, which is the least
work. A GPU has room for more work and waits for each step. Each word but the first is a matrix, of
what leads from each label to each, and the product of all of them, which is what the walk comes to,
is taken in pairs, pairs of pairs, and so on (Särkkä and García-Fernández 2021, by associative
scans; here the total alone). Gradients are autograd's, of matrix products too.

Weights are kept, not logarithms, and each product is divided by its largest weight. Unlike the walk
it has no second way for sequences whose scores are further apart than float64 reaches, a factor of
``exp(700)``: asking whether there is one would wait for the GPU. A sum that is lost in that way is
infinite, and training says so.

Shapes: B sequences, L labels, S steps, the power of two that the words after the first fit in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.heads.chain import Chain
from pipeline.heads.packing import PackedBatch


def sum_of_log_partitions(emissions: Tensor, chain: Chain, batch: PackedBatch) -> Tensor:
    """() the logarithm of the sum over all label sequences, added up over a batch.

    Args:
        emissions: (words, L), the sequences one after another.
        chain: scores.
        batch: layout of the sequences.
    """
    tops = emissions.detach().amax(1, keepdim=True)
    weights = (emissions - tops).exp()
    scales = [tops.flatten()]
    paths = (weights.index_select(0, batch.first_tokens) * chain.start.exp())[:, None]
    if batch.longest > 1:
        product, within = _product_of_steps(weights, chain, batch)
        paths = paths @ product
        scales += within
    totals = (paths.squeeze(1) * chain.end.exp()).sum(1).log()
    return totals.sum() + torch.cat(scales).sum()


def _product_of_steps(
    weights: Tensor, chain: Chain, batch: PackedBatch
) -> tuple[Tensor, list[Tensor]]:
    """(B, L, L) products of all steps, and the logarithms of what they were divided by."""
    labels, sequences = weights.shape[1], len(batch.lengths)
    steps = 1 << (batch.longest - 2).bit_length()
    # Where a sequence has no word any more, its paths stay as they are.
    stay = torch.eye(labels, dtype=weights.dtype, device=weights.device)
    words = weights.index_select(0, batch.index("later_tokens"))
    matrices = stay.repeat(sequences * steps, 1, 1)
    matrices.index_copy_(0, batch.index("tree_leaves"), chain.transitions.exp() * words[:, None])
    matrices = matrices.view(sequences, steps, labels, labels)
    scales: list[Tensor] = []
    while matrices.shape[1] > 1:
        earlier, later = matrices.unflatten(1, (-1, 2)).unbind(2)
        matrices = earlier @ later
        largest = matrices.detach().amax((2, 3), keepdim=True)
        matrices = matrices / largest
        scales.append(largest.flatten())
    logarithms = [torch.cat(scales).log()] if scales else []
    return matrices.squeeze(1), logarithms
