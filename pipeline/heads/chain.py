"""A linear chain of labels, and the sums over its paths as they are defined: slow, for any scores.

Scores of minus infinity say that a label or a transition is impossible. L is the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chain:
    """Scores of what labels do beside each other.

    Attributes:
        transitions: (L, L), ``[a, b]``: b after a.
        start: (L,) of the first label.
        end: (L,) of the last label.
    """

    transitions: Tensor
    start: Tensor
    end: Tensor


def sum_in_logarithms(emissions: Tensor, chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """The sum over all label sequences of one sequence of words, and its derivatives.

    Args:
        emissions: (words, L) of the sequence.
        chain: scores.

    Returns:
        () the logarithm of the sum over all label sequences, (words, L) probabilities of labels,
        (L, L) expected counts of transitions.
    """
    before = [chain.start + emissions[0]]
    for scores in emissions[1:]:
        paths = before[-1][:, None] + chain.transitions
        before.append(torch.logsumexp(paths, 0) + scores)
    after = [chain.end]
    for scores in emissions[1:].flip(0):
        after.append(torch.logsumexp(chain.transitions + (scores + after[-1]), 1))
    after.reverse()
    log_partition = torch.logsumexp(before[-1] + chain.end, 0)
    counts = torch.zeros_like(chain.transitions)
    for word in range(1, len(emissions)):
        path = before[word - 1][:, None] + chain.transitions + (emissions[word] + after[word])
        counts += (path - log_partition).exp()
    words = (torch.stack(before) + torch.stack(after) - log_partition).exp()
    return log_partition, words, counts
