"""Products of scaled weights against logarithms, and what neither may lose."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor

from pipeline.heads.chain import Chain, sum_in_logarithms
from pipeline.heads.packing import pack_batch
from pipeline.heads.partition import LogPartition, backward_pass, forward_pass


def chain(labels: int, spread: float, dtype: torch.dtype = torch.float64) -> Chain:
    generator = torch.Generator().manual_seed(labels)
    shapes = ((labels, labels), (labels,), (labels,))
    parts = [spread * torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    parts[0][labels // 2, labels // 3] = -torch.inf
    parts[1][labels - 1] = -torch.inf
    return Chain(*parts)


def words(count: int, labels: int, spread: float, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return spread * torch.randn(count, labels, generator=generator, dtype=dtype)


@pytest.mark.parametrize("labels", [3, 16, 40])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)]
)  # devices without float64 sum in float32
@pytest.mark.parametrize("spread", [1.0, 8.0, 60.0, 600.0])
def test_scaled_products_equal_sums_in_logarithms(
    labels: int, dtype: torch.dtype, tolerance: float, spread: float
) -> None:
    lengths = [7, 1, 30, 2]
    scores, of_chain = words(40, labels, spread, dtype), chain(labels, 0.5 * spread, dtype)
    batch = pack_batch(lengths)
    factors = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=dtype)
    log_partition, state = forward_pass(scores, of_chain, batch)
    probabilities, counts = backward_pass(state, scores, of_chain, batch, factors)

    alone = [sum_in_logarithms(part, of_chain) for part in scores.split(lengths)]
    expected = torch.stack([sums for sums, _, _ in alone])
    torch.testing.assert_close(log_partition, expected, rtol=tolerance, atol=tolerance)
    weighted = [p * f for (_, p, _), f in zip(alone, factors, strict=True)]
    torch.testing.assert_close(probabilities, torch.cat(weighted), rtol=0, atol=tolerance * 10)
    steps = torch.stack([c * f for (_, _, c), f in zip(alone, factors, strict=True)]).sum(0)
    torch.testing.assert_close(counts, steps, rtol=0, atol=tolerance * 100)


def test_only_scores_far_apart_on_the_only_way_to_a_label_are_summed_in_logarithms() -> None:
    scores, batch, of_chain = words(500, 9, 15.0), pack_batch([25] * 20), chain(9, 5.0)
    assert not forward_pass(scores, of_chain, batch)[1].inexact.any()
    scores[30, 2] = 1000.0
    assert not forward_pass(scores, of_chain, batch)[1].inexact.any()
    of_chain.transitions[[0, 1, *range(3, 9)], 1] = -torch.inf
    scores[80, 2] = -1000.0
    inexact = forward_pass(scores, of_chain, batch)[1].inexact
    assert inexact.nonzero()[:, 0].tolist() == [3]


def test_sums_in_logarithms_have_the_derivatives_of_autograd() -> None:
    scores, of_chain = words(6, 4, 2.0), chain(4, 1.0)
    inputs = [scores, of_chain.transitions, of_chain.start, of_chain.end]
    for value in inputs:
        value.requires_grad_()
    total = of_chain.start + scores[0]
    for word in scores[1:]:
        total = torch.logsumexp(total[:, None] + of_chain.transitions, 0) + word
    total = torch.logsumexp(total + of_chain.end, 0)
    gradients = torch.autograd.grad(total, inputs)
    with torch.no_grad():
        ours, probabilities, counts = sum_in_logarithms(scores, of_chain)
    torch.testing.assert_close(ours, total)
    torch.testing.assert_close(probabilities, gradients[0])
    torch.testing.assert_close(counts, gradients[1])


def test_nothing_of_a_step_outlives_it() -> None:
    gc.collect()
    gc.disable()
    try:
        scores = words(10, 3, 1.0).requires_grad_()
        of_chain = chain(3, 1.0)
        parts = (of_chain.transitions, of_chain.start, of_chain.end)
        output = LogPartition.apply(scores, *parts, pack_batch([4, 6]))
        node = weakref.ref(output.grad_fn)
        output.sum().backward()
        del output
        assert node() is None
    finally:
        gc.enable()
