from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from pipeline.heads.dropout import dropout
from pipeline.heads.packing import pack_batch

LENGTHS, WIDTH, PROBABILITY = [40, 1, 25, 34], 30, 0.4
OWNERS = pack_batch(LENGTHS).owners


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_locked_dropout_drops_the_same_units_at_all_tokens_of_a_text() -> None:
    dropped = dropout(torch.ones(sum(LENGTHS), WIDTH), PROBABILITY, OWNERS)
    rows = [text.unique(dim=0) for text in dropped.split(LENGTHS)]
    assert [len(text) for text in rows] == [1] * len(LENGTHS)
    assert len(torch.cat(rows).unique(dim=0)) == len(LENGTHS), "each text has units of its own"


def test_standard_dropout_is_torchs() -> None:
    values = torch.randn(sum(LENGTHS), WIDTH)
    state = torch.get_rng_state()
    dropped = dropout(values, PROBABILITY, None)
    torch.set_rng_state(state)
    assert torch.equal(dropped, F.dropout(values, PROBABILITY))
    assert len(dropped.bool().unique(dim=0)) > sum(LENGTHS) / 2, "each token has its own"


@pytest.mark.parametrize("locked", [True, False])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(locked: bool) -> None:
    texts = 2000
    owners = torch.arange(texts) if locked else None
    dropped = dropout(torch.ones(texts, WIDTH), PROBABILITY, owners)
    kept = torch.tensor(1 / (1 - PROBABILITY))
    assert set(dropped.unique().tolist()) == {0.0, kept.item()}
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_gradients_of_locked_dropout_go_through_what_is_kept() -> None:
    values = torch.randn(sum(LENGTHS), WIDTH, requires_grad=True)
    dropped = dropout(values, PROBABILITY, OWNERS)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values.detach(), dropped.detach())
