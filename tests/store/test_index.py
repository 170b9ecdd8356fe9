from __future__ import annotations

import numpy as np
import pytest
from stored_shards import RECIPE, WIDTH, add_shard, key, states

from pipeline.store.keys import shard_name
from pipeline.store.local import LocalStore


@pytest.fixture
def store(tmp_path) -> LocalStore:
    return LocalStore.of(tmp_path, RECIPE)


def test_row_is_found_by_key_and_layer(store):
    names = sorted([add_shard(store, [0, 1, 2], [1, 3]), add_shard(store, [5, 4, 3], [1, 3])])
    first = shard_name([key(number) for number in (0, 1, 2)])
    index = store.index(width=WIDTH, dtype="float16")
    for row, number in enumerate([0, 1, 2]):
        assert index.find(key(number), 1) == (names.index(first), row)
    for row, number in enumerate([5, 4, 3]):
        assert index.find(key(number), 3) == (1 - names.index(first), row)


def test_states_are_those_of_the_row_and_layer(store):
    add_shard(store, [0, 1, 2], [1, 3])
    add_shard(store, [5, 4, 3], [1, 3])
    index = store.index(width=WIDTH, dtype="float16")
    for number in range(6):
        for layer in (1, 3):
            found = index.states(key(number), layer)
            assert found.dtype == np.float16
            np.testing.assert_array_equal(found, states(number, layer))


def test_unknown_key_is_not_found(store):
    add_shard(store, [0, 2], [1])
    index = store.index(width=WIDTH, dtype="float16")
    assert index.find(key(1), 1) is None  # shares its first bytes with row 0
    assert index.find(key(9), 1) is None
    with pytest.raises(KeyError, match=key(1).hex()):
        index.states(key(1), 1)


def test_layer_that_is_not_stored_is_not_found(store):
    add_shard(store, [0], [1])
    assert store.index(width=WIDTH, dtype="float16").find(key(0), 2) is None


def test_row_in_two_shards_is_found_where_the_layer_is(store):
    add_shard(store, [0, 1], [1])
    add_shard(store, [2, 0], [3])
    index = store.index(width=WIDTH, dtype="float16")
    for layer in (1, 3):
        np.testing.assert_array_equal(index.states(key(0), layer), states(0, layer))
    assert index.find(key(1), 3) is None
    assert index.find(key(2), 1) is None


def test_empty_store_holds_no_row(store):
    assert store.index(width=WIDTH, dtype="float16").find(key(0), 1) is None


def test_shard_without_tokens_is_not_searched(store):
    """An extraction that was killed may leave layers alone: nothing says whose they are."""
    name = add_shard(store, [0], [1])
    store.path(name, "tokens.h5").unlink()
    assert store.index(width=WIDTH, dtype="float16").find(key(0), 1) is None


def test_states_cannot_be_written_to(store):
    add_shard(store, [0], [1])
    with pytest.raises(ValueError, match="read-only"):
        store.index(width=WIDTH, dtype="float16").states(key(0), 1)[0, 0] = 1


def test_damaged_shard_is_not_read(store):
    name = add_shard(store, [0], [1])
    path = store.path(name, "layer_01.h5")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    fresh = LocalStore(store.folder)
    assert fresh.index(width=WIDTH, dtype="float16").find(key(0), 1) is None
    assert fresh.damaged == [(name, "layer_01.h5")]


def test_tokens_and_lengths_are_those_of_the_row(store):
    add_shard(store, [0, 1, 2], [1])
    add_shard(store, [5, 4, 3], [1])
    index = store.index(width=WIDTH, dtype="float16")
    for number in range(6):
        assert index.lengths(key(number)) == (number + 2, number + 2)
        tokens = index.tokens(key(number))
        assert tokens["input_ids"].tolist() == [number] * (number + 2)
        assert tokens["char_offsets"].shape == (number + 2, 2)
        assert (tokens["full_length"], tokens["words"]) == (number + 2, number + 2)
    assert index.lengths(key(9)) is None
    assert index.tokens(key(9)) is None
