from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.chunking import shard_boundaries

SHARD_TOKENS = 256
lengths_of_rows = st.lists(st.integers(2, 700) | st.integers(2, 60), max_size=80)
seeds = st.integers(0, 1000)


def key(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def keys_for(count: int, seed: object) -> list[bytes]:
    return [key((seed, row)) for row in range(count)]


def cut(keys, lengths) -> list[tuple[int, int]]:
    return shard_boundaries(keys, lengths, shard_tokens=SHARD_TOKENS)


def contents(keys, lengths) -> list[tuple[bytes, ...]]:
    return [tuple(keys[first:end]) for first, end in cut(keys, lengths)]


@given(lengths_of_rows, seeds)
def test_shards_cover_all_rows_in_order(lengths, seed):
    boundaries = cut(keys_for(len(lengths), seed), lengths)
    assert [row for first, end in boundaries for row in range(first, end)] == list(
        range(len(lengths))
    )
    assert all(first < end for first, end in boundaries)


@given(lengths_of_rows, seeds)
def test_every_shard_but_the_last_has_half_of_the_size_aimed_at(lengths, seed):
    for first, end in cut(keys_for(len(lengths), seed), lengths)[:-1]:
        assert sum(lengths[first:end]) >= SHARD_TOKENS / 2


@given(st.lists(st.integers(2, 100), max_size=80))
def test_shard_ends_at_twice_the_size_aimed_at_whatever_its_keys(lengths):
    """Keys from the far end of the key space would never end a shard of rows this short."""
    keys = [b"\xff" * 8 + key(row) for row in range(len(lengths))]
    boundaries = cut(keys, lengths)
    for first, end in boundaries:
        assert sum(lengths[first : end - 1]) < 2 * SHARD_TOKENS
    for first, end in boundaries[:-1]:
        assert sum(lengths[first:end]) >= 2 * SHARD_TOKENS


def test_shards_have_about_the_size_aimed_at():
    lengths = np.random.default_rng(0).integers(2, 40, 20_000).tolist()
    boundaries = cut(keys_for(len(lengths), "size"), lengths)
    assert sum(lengths) / len(boundaries) == pytest.approx(SHARD_TOKENS, rel=0.2)


@given(lengths_of_rows, lengths_of_rows, seeds)
def test_appended_rows_leave_all_shards_but_the_last_alone(before, added, seed):
    keys = keys_for(len(before) + len(added), seed)
    kept = cut(keys[: len(before)], before)[:-1]
    assert cut(keys, before + added)[: len(kept)] == kept


@given(lengths_of_rows, lengths_of_rows, lengths_of_rows, seeds)
def test_shards_agree_again_from_the_first_common_end_after_an_edit(one, other, tail, seed):
    """Two corpora that differ before ``tail``: once a shard ends at the same row, all later do."""
    tail_keys = keys_for(len(tail), "tail")
    ends = [
        [
            end - len(start)
            for _, end in cut(keys_for(len(start), (seed, name)) + tail_keys, start + tail)
            if end >= len(start)
        ]
        for name, start in (("one", one), ("other", other))
    ]
    common = sorted(set(ends[0]) & set(ends[1]))
    assert common or not tail
    if common:
        after = [[end for end in part if end >= common[0]] for part in ends]
        assert after[0] == after[1]


@pytest.mark.parametrize("edit", ["replace", "insert", "delete"])
def test_edit_in_the_middle_changes_the_shards_around_it_only(edit):
    rng = np.random.default_rng(7)
    lengths = rng.integers(2, 40, 3000).tolist()
    keys = keys_for(len(lengths), "middle")
    before = set(contents(keys, lengths))
    changed = []
    for position in range(100, 2900, 100):
        stop = position + (edit != "insert")
        new = [] if edit == "delete" else [position]
        keys_now = keys[:position] + [key(("new", row)) for row in new] + keys[stop:]
        lengths_now = lengths[:position] + [20 for _ in new] + lengths[stop:]
        changed.append(len(set(contents(keys_now, lengths_now)) - before))
    assert len(before) > 200
    assert np.mean(changed) < 3
    assert max(changed) < 15


def test_no_rows_make_no_shards():
    assert cut([], []) == []


def test_boundaries_do_not_depend_on_the_end_of_the_key():
    lengths = [30] * 200
    keys = keys_for(200, 0)
    assert cut([one[:8] + bytes(24) for one in keys], lengths) == cut(keys, lengths)
    assert len(cut(keys, lengths)) > 5
