from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.heads.packing import MINIMUM_ROWS, pack_batch

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=40)


@given(LENGTHS)
def test_every_token_has_a_position_of_its_own_in_both_directions(lengths: list[int]) -> None:
    batch = pack_batch(lengths)
    for places in (batch.forward, batch.backward):
        assert len(places) == sum(lengths)
        assert len(set(places.tolist())) == sum(lengths)
        assert 0 <= int(places.min()) <= int(places.max()) < batch.positions


@given(LENGTHS)
def test_no_step_has_fewer_rows_than_kernels_need_for_equal_bits(lengths: list[int]) -> None:
    batch = pack_batch(lengths)
    assert min(batch.batch_sizes) >= MINIMUM_ROWS
    assert batch.batch_sizes == sorted(batch.batch_sizes, reverse=True)
    assert len(batch.batch_sizes) == max(lengths)


@given(LENGTHS)
def test_each_position_follows_the_token_before_it(lengths: list[int]) -> None:
    batch = pack_batch(lengths)
    before = torch.full((batch.positions,), -1)
    before[batch.batch_sizes[0] :] = batch.previous
    start = 0
    for length in lengths:
        forward = batch.forward[start : start + length]
        backward = batch.backward[start : start + length].flip(0)
        for walk in (forward, backward):
            assert int(walk[0]) < batch.batch_sizes[0]
            assert before[walk[1:]].tolist() == walk[:-1].tolist()
        start += length


def test_first_tokens_are_where_sequences_begin() -> None:
    assert pack_batch([3, 1, 5]).first_tokens.tolist() == [0, 3, 4]


@pytest.mark.parametrize("lengths", [[], [3, 0]])
def test_empty_sequences_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        pack_batch(lengths)
