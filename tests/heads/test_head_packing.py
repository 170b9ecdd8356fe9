from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.kernels import MINIMUM_ROWS
from pipeline.heads.packing import Directions, PackedBatch, PackedLayout, pack_batch

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=40)
FORWARD, BACKWARD = ("",), ("_reverse",)
BOTH = (*FORWARD, *BACKWARD)
DIRECTIONS = st.sampled_from([FORWARD, BACKWARD, BOTH])


def places_of(
    layout: PackedLayout, batch: PackedBatch, directions: Directions
) -> list[list[list[int]]]:
    """Per direction and sequence: where its tokens stand, in the order in which it reads them."""
    by_direction = layout.places.view(batch.tokens, len(directions)).t()
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
    layout = pack_batch(lengths).layout(directions)
    assert len(layout.places) == len(directions) * sum(lengths)
    assert len(set(layout.places.tolist())) == len(layout.places)
    assert 0 <= int(layout.places.min()) <= int(layout.places.max()) < layout.positions


@given(LENGTHS, DIRECTIONS)
def test_sources_are_the_inverse_of_places(lengths: list[int], directions: Directions) -> None:
    layout = pack_batch(lengths).layout(directions)
    assert layout.sources[layout.places].tolist() == list(range(len(layout.places)))
    filled_up = np.setdiff1d(np.arange(layout.positions), layout.places.numpy())
    assert set(layout.sources[filled_up].tolist()) <= {len(layout.places)}


@given(LENGTHS, DIRECTIONS)
def test_no_step_has_fewer_rows_than_kernels_need_for_equal_bits(
    lengths: list[int], directions: Directions
) -> None:
    layout = pack_batch(lengths).layout(directions)
    assert min(layout.batch_sizes) >= MINIMUM_ROWS
    assert layout.batch_sizes == sorted(layout.batch_sizes, reverse=True)
    assert len(layout.batch_sizes) == max(lengths)
    assert layout.positions == len(directions) * sum(layout.batch_sizes)
    real = [sum(length > step for length in lengths) for step in range(max(lengths))]
    assert layout.batch_sizes == [max(MINIMUM_ROWS, rows) for rows in real], "and no more than that"


@given(LENGTHS, DIRECTIONS)
def test_a_step_holds_the_next_token_of_every_sequence_from_each_direction(
    lengths: list[int], directions: Directions
) -> None:
    batch = pack_batch(lengths)
    layout = batch.layout(directions)
    ends = len(directions) * np.cumsum(layout.batch_sizes)
    begins = ends - len(directions) * np.array(layout.batch_sizes)
    for direction, sequences in enumerate(places_of(layout, batch, directions)):
        for places in sequences:
            for step, place in enumerate(places):
                row = place - begins[step]
                rows = layout.batch_sizes[step]
                assert direction * rows <= row < (direction + 1) * rows


@given(LENGTHS, DIRECTIONS)
def test_previous_is_the_token_read_before(lengths: list[int], directions: Directions) -> None:
    batch = pack_batch(lengths)
    layout = batch.layout(directions)
    first = len(directions) * layout.batch_sizes[0]
    assert len(layout.previous) == layout.positions - first
    before = torch.cat([torch.full((first,), -1), layout.previous])
    for sequences in places_of(layout, batch, directions):
        for places in sequences:
            assert before[places].tolist() == [-1, *places[:-1]]
    # What is filled up keeps to itself: nothing that follows it is a token.
    tokens = set(layout.places.tolist())
    for place in range(first, layout.positions):
        if place in tokens:
            assert int(before[place]) in tokens


def test_a_layout_is_worked_out_once() -> None:
    batch = pack_batch([3, 1])
    assert batch.layout(BOTH) is batch.layout(BOTH)
    assert batch.forward is batch.layout(FORWARD)
    assert batch.backward is batch.layout(BACKWARD)


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
