from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from pipeline.heads.dropout import dropout, mask_of_floats
from pipeline.heads.packing import pack_batch

LENGTHS, WIDTH, PROBABILITY = [40, 1, 25, 34], 30, 0.4
BATCH = pack_batch(LENGTHS)


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_locked_dropout_drops_the_same_units_at_all_tokens_of_a_text() -> None:
    dropped = dropout(torch.ones(sum(LENGTHS), WIDTH), PROBABILITY, BATCH)
    rows = [text.unique(dim=0) for text in dropped.split(LENGTHS)]
    assert [len(text) for text in rows] == [1] * len(LENGTHS)
    assert len(torch.cat(rows).unique(dim=0)) == len(LENGTHS), "each text has units of its own"


def test_every_token_has_dropout_of_its_own() -> None:
    values = torch.randn(sum(LENGTHS), WIDTH)
    dropped = dropout(values, PROBABILITY, None)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], values[kept] / (1 - PROBABILITY))
    assert len(kept.unique(dim=0)) > sum(LENGTHS) / 2


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.9])
def test_values_are_dropped_independently_and_as_often_as_asked(probability: float) -> None:
    """All 16 bits of every quarter of a draw are random: neighbours fall together by chance."""
    kept = (dropout(torch.ones(1000, 1001), probability, None) != 0).double()
    deviation = math.sqrt(probability * (1 - probability))
    for part in (kept, *(kept[:, place::4] for place in range(4))):
        assert abs(1 - part.mean() - probability) < 5 * deviation / math.sqrt(part.numel())
    standard = (kept - (1 - probability)) / deviation
    for step in range(1, 5):
        together = (standard[:, step:] * standard[:, :-step]).mean()
        assert abs(together) < 5 / math.sqrt(kept.numel())


def test_a_probability_next_to_one_drops_nearly_all() -> None:
    kept = dropout(torch.ones(1000, 1000), 1 - 1e-9, None) != 0
    assert kept.sum() < 100


@pytest.mark.parametrize("locked", [True, False])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(locked: bool) -> None:
    texts = 2000
    batch = pack_batch([1] * texts) if locked else None
    dropped = dropout(torch.ones(texts, WIDTH), PROBABILITY, batch)
    kept = torch.tensor(1 / (1 - PROBABILITY))
    assert set(dropped.unique().tolist()) == {0.0, kept.item()}
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)


def test_gradients_of_locked_dropout_go_through_what_is_kept() -> None:
    values = torch.randn(sum(LENGTHS), WIDTH, requires_grad=True)
    dropped = dropout(values, PROBABILITY, BATCH)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values.detach(), dropped.detach())


def test_a_mask_of_floats_is_one_like_that_of_bits() -> None:
    """What a Mac's GPU draws, tried on a CPU."""
    mask = mask_of_floats(400, WIDTH, PROBABILITY, torch.empty(0, dtype=torch.float64))
    assert mask.dtype == torch.float64
    assert set(mask.unique().tolist()) == {0.0, 1 / (1 - PROBABILITY)}
    assert mask.mean().item() == pytest.approx(1, abs=0.05)
    assert len(mask.unique(dim=0)) == 400
