from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.heads.packing import MINIMUM_ROWS, Directions, PackedBatch, PackedLayout, pack_batch

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=40)
FORWARD, BACKWARD = ("",), ("_reverse",)
BOTH = (*FORWARD, *BACKWARD)
DIRECTIONS = st.sampled_from([FORWARD, BACKWARD, BOTH])


def places_of(
    walk: PackedLayout, batch: PackedBatch, directions: Directions
) -> list[list[list[int]]]:
    """Per direction and sequence: where its tokens stand, in the order in which it reads them."""
    by_direction = walk.places.view(batch.tokens, len(directions)).t()
    return [
        [
            part.flip(0).tolist() if suffix else part.tolist()
            for part in places.split(batch.lengths.tolist())
        ]
        for suffix, places in zip(directions, by_direction, strict=True)
    ]


@given(LENGTHS, DIRECTIONS)
def test_every_token_has_a_place_of_its_own_in_each_direction(
    lengths: list[int], directions: Directions
) -> None:
    walk = pack_batch(lengths).walk(directions)
    assert len(walk.places) == len(directions) * sum(lengths)
    assert len(set(walk.places.tolist())) == len(walk.places)
    assert 0 <= int(walk.places.min()) <= int(walk.places.max()) < walk.positions


@given(LENGTHS, DIRECTIONS)
def test_sources_are_the_inverse_of_places(lengths: list[int], directions: Directions) -> None:
    walk = pack_batch(lengths).walk(directions)
    assert walk.sources[walk.places].tolist() == list(range(len(walk.places)))
    filled_up = np.setdiff1d(np.arange(walk.positions), walk.places.numpy())
    assert set(walk.sources[filled_up].tolist()) <= {len(walk.places)}


@given(LENGTHS, DIRECTIONS)
def test_no_step_has_fewer_rows_than_kernels_need_for_equal_bits(
    lengths: list[int], directions: Directions
) -> None:
    walk = pack_batch(lengths).walk(directions)
    assert min(walk.batch_sizes) >= MINIMUM_ROWS
    assert walk.batch_sizes == sorted(walk.batch_sizes, reverse=True)
    assert len(walk.batch_sizes) == max(lengths)
    assert walk.positions == len(directions) * sum(walk.batch_sizes)
    real = [sum(length > step for length in lengths) for step in range(max(lengths))]
    assert walk.batch_sizes == [max(MINIMUM_ROWS, rows) for rows in real], "and no more than that"


@given(LENGTHS, DIRECTIONS)
def test_a_step_holds_the_next_token_of_every_sequence_from_each_direction(
    lengths: list[int], directions: Directions
) -> None:
    batch = pack_batch(lengths)
    walk = batch.walk(directions)
    ends = len(directions) * np.cumsum(walk.batch_sizes)
    begins = ends - len(directions) * np.array(walk.batch_sizes)
    for direction, sequences in enumerate(places_of(walk, batch, directions)):
        for places in sequences:
            for step, place in enumerate(places):
                row = place - begins[step]
                rows = walk.batch_sizes[step]
                assert direction * rows <= row < (direction + 1) * rows


@given(LENGTHS, DIRECTIONS)
def test_previous_is_the_token_read_before(lengths: list[int], directions: Directions) -> None:
    batch = pack_batch(lengths)
    walk = batch.walk(directions)
    first = len(directions) * walk.batch_sizes[0]
    assert len(walk.previous) == walk.positions - first
    before = torch.cat([torch.full((first,), -1), walk.previous])
    for sequences in places_of(walk, batch, directions):
        for places in sequences:
            assert before[places].tolist() == [-1, *places[:-1]]
    # What is filled up keeps to itself: nothing that follows it is a token.
    tokens = set(walk.places.tolist())
    for place in range(first, walk.positions):
        if place in tokens:
            assert int(before[place]) in tokens


def test_a_walk_is_worked_out_once() -> None:
    batch = pack_batch([3, 1])
    assert batch.walk(BOTH) is batch.walk(BOTH)
    assert batch.forward is batch.walk(FORWARD)
    assert batch.backward is batch.walk(BACKWARD)


def test_first_and_last_tokens_and_owners_are_those_of_the_sequences() -> None:
    batch = pack_batch([3, 1, 5])
    assert batch.first_tokens.tolist() == [0, 3, 4]
    assert batch.last_tokens.tolist() == [2, 3, 8]
    assert batch.owners.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert batch.tokens == 9


@pytest.mark.parametrize("lengths", [[], [3, 0]])
def test_empty_sequences_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        pack_batch(lengths)
