"""A linear-chain conditional random field over words (Lafferty, McCallum and Pereira 2001).

On top of a recurrent network as in Lample et al. (2016): the network scores each label of each
word, and the field adds what it learns of labels beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.heads.chain import Chain
from pipeline.heads.constraints import Constraints, everything_allowed, possible_tags
from pipeline.heads.fused import is_fused
from pipeline.heads.gold_paths import GoldPaths
from pipeline.heads.packing import PackedBatch, pack_batch
from pipeline.heads.partition import LogPartition, backward_pass, forward_pass
from pipeline.heads.tree_partition import sum_of_log_partitions
from pipeline.tasks.label_type import IGNORE


class LinearChainCRF(nn.Module):
    """Scores of labels that follow each other, and what follows from them for whole sequences.

    Sequences stand one after another, without padding. What is not allowed has probability zero,
    in training too, whatever the parameters are. Parameters start at zero: without anything
    learnt, labels are independent, as without a field. Sums are done in float64, or in float32 on
    devices without it; results have the type of ``emissions``. On CPUs, a sequence's results do
    not depend on its batch, to the last bit.

    Args:
        labels: number of labels.
        constraints: what is allowed; ``None`` for everything.

    Raises:
        ValueError: the constraints are about another number of labels.
    """

    _forbidden: Tensor

    def __init__(self, labels: int, constraints: Constraints | None = None) -> None:
        super().__init__()
        allowed = constraints or everything_allowed(labels)
        if len(allowed.starts) != labels:
            raise ValueError(f"constraints of {len(allowed.starts)} labels for {labels}")
        self.constraints = allowed
        self.transitions = nn.Parameter(torch.zeros(labels, labels))
        self.start = nn.Parameter(torch.zeros(labels))
        self.end = nn.Parameter(torch.zeros(labels))
        # What is allowed follows from the labels, so it is no state to be saved.
        rules = (allowed.transitions.ravel(), allowed.starts, allowed.ends)
        self.register_buffer(
            "_forbidden", ~torch.from_numpy(np.concatenate(rules)), persistent=False
        )

    def log_likelihood(self, emissions: Tensor, tags: Tensor, lengths: Sequence[int]) -> Tensor:
        """The logarithm of the probability of each sequence's gold labels.

        A word whose label is ``IGNORE`` may have any: the probability is that of the others. So
        is that of a sequence which is not allowed, with ``IGNORE`` at as many words as it needs
        (``pipeline.heads.constraints.forget_impossible``).

        Args:
            emissions: (words, labels) float.
            tags: (words,) int64, the gold labels.
            lengths: words of each sequence, each at least 1.

        Returns:
            (batch,), each at most 0 but for rounding.

        Raises:
            ValueError: lengths, tags and emissions are not about the same words.
        """
        batch = self._pack(emissions, lengths)
        if tags.shape != emissions.shape[:1]:
            raise ValueError(f"{len(tags)} tags for {len(emissions)} words")
        scores, chain = self._scores(emissions)
        possible = possible_tags(tags.cpu().numpy(), batch.lengths, self.constraints)
        tags = torch.from_numpy(possible).to(tags.device)
        everything = _log_partition(scores, chain, batch)
        gold = _path_scores(scores, chain, tags.clamp(min=0), batch)
        unknown = tags == IGNORE
        if unknown.any():
            partly = torch.zeros(len(lengths), dtype=torch.bool, device=scores.device)
            partly[batch.owners[unknown]] = True
            words = partly[batch.owners]
            fitting = _only(scores[words], tags[words])
            some = pack_batch(batch.lengths[partly.cpu().numpy()]).to(scores.device)
            gold = gold.index_put((partly,), _log_partition(fitting, chain, some))
        return (gold - everything).to(emissions.dtype)

    def loss(self, emissions: Tensor, gold: GoldPaths) -> Tensor:
        """() minus the sum of ``log_likelihood`` over all sequences.

        Args:
            emissions: (words, labels) float.
            gold: of the same words.
        """
        if not is_fused(emissions.device):
            lengths = gold.sequences.lengths.tolist()
            return -self.log_likelihood(emissions, gold.index("tags"), lengths).sum()
        scores, chain = self._scores(emissions)
        everything = sum_of_log_partitions(scores, chain, gold.sequences)
        if gold.has_unknown:
            fitting = _only(scores, gold.index("possible"))
            path = sum_of_log_partitions(fitting, chain, gold.sequences)
        else:
            # Of parameters themselves: gold labels need none of what is forbidden.
            path = scores.gather(1, gold.index("possible")[:, None]).sum()
            parameters = self._flat_scores()
            path = path + gold.index("counts").to(parameters.dtype) @ parameters
        return (everything - path).to(emissions.dtype)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, lengths: Sequence[int]) -> Tensor:
        """(words, labels): the probability of each label at each word, given all emissions.

        Args:
            emissions: (words, labels) float.
            lengths: words of each sequence, each at least 1.

        Raises:
            ValueError: lengths and emissions are not about the same words.
        """
        batch = self._pack(emissions, lengths)
        scores, chain = self._scores(emissions)
        _, state = forward_pass(scores, chain, batch)
        ones = scores.new_ones(len(lengths))
        return backward_pass(state, scores, chain, batch, ones)[0].to(emissions.dtype)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The best labels of each sequence (Viterbi 1967).

        Args:
            emissions: (words, labels) float.
            lengths: words of each sequence, each at least 1.

        Returns:
            (words,) int64 labels, and (batch,) their scores before normalisation: a score minus
            the logarithm of the partition function is the logarithm of a probability.

        Raises:
            ValueError: lengths and emissions are not about the same words.
        """
        batch = self._pack(emissions, lengths)
        scores, chain = self._scores(emissions)
        forward, backward = batch.forward, batch.backward
        blank = scores.new_zeros(forward.positions, scores.shape[1])
        best = blank.index_copy_(0, forward.places, scores)
        into = chain.transitions.t().contiguous()
        best[: forward.batch_sizes[0]] += chain.start
        begin = before = 0
        for step, rows in enumerate(forward.batch_sizes):
            if step:
                paths = best[before : before + rows, None] + into
                best[begin : begin + rows] += paths.amax(2)
            before, begin = begin, begin + rows

        # From each sequence's own end; a choice needs one row of the transitions, not all.
        reached = best.index_select(0, forward.places)
        best = torch.zeros_like(best).index_copy_(0, backward.places, reached)
        choice = torch.empty(backward.positions, dtype=torch.int64, device=best.device)
        begin = before = 0
        for step, rows in enumerate(backward.batch_sizes):
            after = into[choice[before : before + rows]] if step else chain.end
            torch.argmax(best[begin : begin + rows] + after, 1, out=choice[begin : begin + rows])
            before, begin = begin, begin + rows
        labels = choice[backward.places]
        last = batch.last_tokens
        finals = (reached[last] + chain.end).amax(1)
        return labels, finals.to(emissions.dtype)

    def _pack(self, emissions: Tensor, lengths: Sequence[int]) -> PackedBatch:
        if sum(lengths) != len(emissions):
            raise ValueError(f"sequences of {sum(lengths)} words, emissions of {len(emissions)}")
        return pack_batch(lengths).to(emissions.device)

    def _scores(self, emissions: Tensor) -> tuple[Tensor, Chain]:
        """Emissions and parameters in the type of sums, minus infinity for what is not allowed."""
        precise = torch.float32 if emissions.device.type == "mps" else torch.float64
        labels = len(self.start)
        allowed = self._flat_scores().to(precise).masked_fill(self._forbidden, -torch.inf)
        transitions, start, end = allowed.split((labels * labels, labels, labels))
        return emissions.to(precise), Chain(transitions.view(labels, labels), start, end)

    def _flat_scores(self) -> Tensor:
        """(labels * labels + 2 * labels,) scores of transitions, of first and of last labels."""
        return torch.cat((self.transitions.flatten(), self.start, self.end))


def _only(scores: Tensor, tags: Tensor) -> Tensor:
    """Emissions that leave every word its label, or any where that is unknown."""
    labels = torch.arange(scores.shape[1], device=tags.device)
    others = (tags[:, None] != IGNORE) & (tags[:, None] != labels)
    return scores.masked_fill(others, -torch.inf)


def _log_partition(scores: Tensor, chain: Chain, batch: PackedBatch) -> Tensor:
    """(batch,): the logarithm of the sum over all label sequences."""
    return LogPartition.apply(  # type: ignore[no-any-return, no-untyped-call]
        scores, chain.transitions, chain.start, chain.end, batch
    )


def _path_scores(scores: Tensor, chain: Chain, tags: Tensor, batch: PackedBatch) -> Tensor:
    """(batch,): the scores of given labels, added up one after another."""
    later = torch.ones_like(tags, dtype=torch.bool)
    later[batch.first_tokens] = False
    word = later.nonzero()[:, 0]
    ends = chain.start[tags[batch.first_tokens]] + chain.end[tags[batch.last_tokens]]
    emissions = scores.gather(1, tags[:, None])[:, 0]
    transitions = chain.transitions[tags[word - 1], tags[word]]
    return ends.index_add(0, batch.owners, emissions).index_add(0, batch.owners[word], transitions)
