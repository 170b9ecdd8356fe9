"""The CRF's loss as a GPU computes it, against the walk over the words."""

from __future__ import annotations

import pytest
import torch
from chains import field
from fused_heads import everywhere
from hypothesis import given, settings
from hypothesis import strategies as st
from launches import Launches
from torch import Tensor

from pipeline.heads.constraints import allowed_sequences
from pipeline.heads.crf import LinearChainCRF
from pipeline.heads.gold_paths import GoldPaths
from pipeline.heads.packing import pack_batch
from pipeline.tasks.label_type import IGNORE

NAMES = ["B-x", "B-y", "E-x", "I-x", "I-y", "O", "S-y"]


def gold_of(crf: LinearChainCRF, tags: Tensor, lengths: list[int]) -> GoldPaths:
    batch = pack_batch(lengths)
    return GoldPaths(tags.numpy(), batch, crf.constraints, batch.device)


def loss_and_gradients(
    crf: LinearChainCRF, emissions: Tensor, gold: GoldPaths
) -> tuple[Tensor, list[Tensor]]:
    given = emissions.clone().requires_grad_()
    loss = crf.loss(given, gold)
    return loss, list(torch.autograd.grad(loss, [given, *crf.parameters()]))


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    scheme=st.sampled_from([None, "bio", "bioes"]),
    unknown=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 1.0, 30.0]),
)
def test_loss_and_gradients_equal_those_of_the_walk(
    lengths: list[int], scheme: str | None, unknown: float, seed: int, spread: float
) -> None:
    """Gold labels are drawn at will: where the scheme forbids them, they count as unknown."""
    names = [name for name in NAMES if scheme != "bio" or name[0] not in "ES"]
    crf = field(
        len(names), allowed_sequences(names, scheme), seed=seed, spread=1.0, dtype=torch.float64
    )
    generator = torch.Generator().manual_seed(seed)
    emissions = spread * torch.randn(
        sum(lengths), len(names), generator=generator, dtype=torch.float64
    )
    tags = torch.randint(len(names), (sum(lengths),), generator=generator)
    tags[torch.rand(sum(lengths), generator=generator) < unknown] = IGNORE
    gold = gold_of(crf, tags, lengths)
    expected, gradients = loss_and_gradients(crf, emissions, gold)
    with pytest.MonkeyPatch.context() as patch:
        everywhere(patch)
        loss, others = loss_and_gradients(crf, emissions, gold)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(other, gradient, rtol=1e-8, atol=1e-8)


def test_scores_further_apart_than_numbers_reach_make_a_loss_that_is_not_finite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two labels, each the only one at its word and 800 below at the other, none may change."""
    crf = field(2, None, seed=0, spread=0.0, dtype=torch.float64)
    with torch.no_grad():
        crf.transitions.copy_(torch.tensor([[0.0, -1000.0], [-1000.0, 0.0]]))
    emissions = torch.tensor([[0.0, -800.0], [-800.0, 0.0]], dtype=torch.float64)
    gold = gold_of(crf, torch.tensor([0, 0]), [2])
    assert crf.loss(emissions, gold).isfinite()
    everywhere(monkeypatch)
    assert not crf.loss(emissions, gold).isfinite()


def test_a_sequence_eight_times_as_long_takes_three_levels_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everywhere(monkeypatch)
    crf = LinearChainCRF(3)
    counts = {}
    for length in (17, 129):
        gold = gold_of(crf, torch.zeros(2 * length, dtype=torch.int64), [length, length])
        emissions = torch.randn(2 * length, 3, requires_grad=True)
        with Launches() as counted:
            crf.loss(emissions, gold).backward()
        counts[length] = counted.operations
    assert counts[129] - counts[17] == 3 * 8
    assert counts[129] < 129
