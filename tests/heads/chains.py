"""Sums over label sequences by listing all of them, and random fields to compare with."""

from __future__ import annotations

from itertools import pairwise, product

import torch
from torch import Tensor

from pipeline.heads.constraints import Constraints, everything_allowed
from pipeline.heads.crf import LinearChainCRF
from pipeline.tasks.label_type import IGNORE


def field(
    labels: int,
    constraints: Constraints | None = None,
    *,
    seed: int = 0,
    spread: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> LinearChainCRF:
    """A field with random parameters."""
    crf = LinearChainCRF(labels, constraints).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return crf


def is_allowed(path: tuple[int, ...], rules: Constraints) -> bool:
    steps = pairwise(path)
    return bool(
        rules.starts[path[0]]
        and rules.ends[path[-1]]
        and all(rules.transitions[before, after] for before, after in steps)
    )


def all_paths(crf: LinearChainCRF, emissions: Tensor) -> tuple[list[tuple[int, ...]], Tensor]:
    """The allowed label sequences of one sequence of words, and the score of each."""
    words, labels = emissions.shape
    rules = crf.constraints or everything_allowed(labels)
    paths = [path for path in product(range(labels), repeat=words) if is_allowed(path, rules)]
    scores = []
    for path in paths:
        score = crf.start[path[0]] + crf.end[path[-1]]
        for word, label in enumerate(path):
            score = score + emissions[word, label]
            if word:
                score = score + crf.transitions[path[word - 1], label]
        scores.append(score)
    return paths, torch.stack(scores)


def log_likelihood(crf: LinearChainCRF, emissions: Tensor, tags: list[int]) -> Tensor:
    """() by brute force, for tags of which at least one completion is allowed."""
    paths, scores = all_paths(crf, emissions)
    fitting = [
        index
        for index, path in enumerate(paths)
        if all(tag in (IGNORE, label) for tag, label in zip(tags, path, strict=True))
    ]
    return torch.logsumexp(scores[fitting], 0) - torch.logsumexp(scores, 0)


def marginals(crf: LinearChainCRF, emissions: Tensor) -> Tensor:
    """(words, labels) by brute force."""
    paths, scores = all_paths(crf, emissions)
    result = torch.zeros_like(emissions)
    for path, probability in zip(paths, scores.softmax(0), strict=True):
        for word, label in enumerate(path):
            result[word, label] += probability
    return result
