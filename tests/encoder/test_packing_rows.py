from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.encoder.packing import pack_by_length, runs_of_equal_length

lengths_of_rows = st.lists(st.integers(2, 50), max_size=60)


@given(lengths_of_rows, st.integers(1, 200))
def test_every_row_is_packed_once(lengths, budget):
    packed = [row for pack in pack_by_length(lengths, budget) for row in pack]
    assert sorted(packed) == list(range(len(lengths)))


@given(lengths_of_rows, st.integers(1, 200))
def test_pack_of_several_rows_stays_within_the_budget(lengths, budget):
    for pack in pack_by_length(lengths, budget):
        assert pack
        assert len(pack) == 1 or sum(lengths[row] for row in pack) <= budget


@given(lengths_of_rows, st.integers(1, 200))
def test_rows_come_shortest_first_and_equal_ones_in_their_order(lengths, budget):
    packed = [row for pack in pack_by_length(lengths, budget) for row in pack]
    assert packed == sorted(packed, key=lambda row: (lengths[row], row))


@given(lengths_of_rows, st.integers(1, 200))
def test_pack_ends_only_where_the_next_row_would_not_fit(lengths, budget):
    packs = list(pack_by_length(lengths, budget))
    for pack, following in pairwise(packs):
        assert sum(lengths[row] for row in pack) + lengths[following[0]] > budget


@given(st.lists(st.integers(2, 5), max_size=40))
def test_runs_expand_to_the_lengths_they_came_from(lengths):
    runs = runs_of_equal_length(lengths)
    assert [length for count, length in runs for _ in range(count)] == lengths


@given(st.lists(st.integers(2, 5), max_size=40))
def test_neighbouring_runs_differ_in_length(lengths):
    runs = runs_of_equal_length(lengths)
    assert all(count >= 1 for count, _ in runs)
    assert all(one[1] != next_[1] for one, next_ in pairwise(runs))
