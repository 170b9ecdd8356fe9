from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.store.keys import Recipe, shard_name
from pipeline.store.local import Linker, LocalStore, map_dataset
from pipeline.store.writer import ShardTokens, key_array, row_offsets, write_layer, write_tokens

RECIPE = Recipe(
    encoder={"weights": {}, "config": {}, "tokenizer": {}},
    max_length=128,
    long_texts="truncate",
    compute_dtype="float32",
    storage_dtype="float16",
)
WIDTH = 4


def key(number: int) -> bytes:
    """Keys that share their first 8 bytes, by which rows are looked up first, in pairs."""
    return bytes([number // 2]) * 8 + bytes([number]) * 24


def states(number: int, layer: int) -> np.ndarray:
    """Row ``number`` has ``number + 2`` tokens."""
    return np.full((number + 2, WIDTH), 10 * number + layer, np.float16)


def add_shard(store: LocalStore, numbers: list[int], layers: list[int]) -> str:
    name = shard_name([key(number) for number in numbers])
    lengths = np.array([number + 2 for number in numbers], np.int32)
    total = int(lengths.sum())
    write_tokens(
        store.path(name, "tokens.h5"),
        ShardTokens(
            per_token={
                "input_ids": np.zeros(total, np.int32),
                "segment_ids": np.zeros(total, np.int8),
                "word_index": np.zeros(total, np.int32),
                "char_offsets": np.zeros((total, 2), np.int32),
            },
            row_offsets=row_offsets(lengths),
            row_keys=key_array([key(number) for number in numbers]),
            row_full_length=lengths,
            row_words=lengths,
        ),
    )
    for layer in layers:
        hidden = np.concatenate([states(number, layer) for number in numbers])
        write_layer(store.path(name, f"layer_{layer:02d}.h5"), hidden, layer=layer)
    return name


@pytest.fixture
def store(tmp_path) -> LocalStore:
    return LocalStore(tmp_path, RECIPE)


def test_store_folder_is_named_by_the_recipe(store, tmp_path):
    assert store.folder == tmp_path / RECIPE.digest()[:32]


def test_missing_names_the_files_that_a_shard_lacks(store):
    name = add_shard(store, [0], [1])
    files = ["tokens.h5", "layer_01.h5", "layer_02.h5"]
    assert store.missing(name, files) == ["layer_02.h5"]
    assert store.missing("another", files) == files


def test_row_is_found_by_key_and_layer(store):
    names = sorted([add_shard(store, [0, 1, 2], [1, 3]), add_shard(store, [5, 4, 3], [1, 3])])
    first = shard_name([key(number) for number in (0, 1, 2)])
    index = store.index()
    for row, number in enumerate([0, 1, 2]):
        assert index.find(key(number), 1) == (names.index(first), row)
    for row, number in enumerate([5, 4, 3]):
        assert index.find(key(number), 3) == (1 - names.index(first), row)


def test_states_are_those_of_the_row_and_layer(store):
    add_shard(store, [0, 1, 2], [1, 3])
    add_shard(store, [5, 4, 3], [1, 3])
    index = store.index()
    for number in range(6):
        for layer in (1, 3):
            found = index.states(key(number), layer)
            assert found.dtype == np.float16
            np.testing.assert_array_equal(found, states(number, layer))


def test_unknown_key_is_not_found(store):
    add_shard(store, [0, 2], [1])
    index = store.index()
    assert index.find(key(1), 1) is None  # shares its first bytes with row 0
    assert index.find(key(9), 1) is None
    with pytest.raises(KeyError, match=key(1).hex()):
        index.states(key(1), 1)


def test_layer_that_is_not_stored_is_not_found(store):
    add_shard(store, [0], [1])
    assert store.index().find(key(0), 2) is None


def test_row_in_two_shards_is_found_where_the_layer_is(store):
    add_shard(store, [0, 1], [1])
    add_shard(store, [2, 0], [3])
    index = store.index()
    for layer in (1, 3):
        np.testing.assert_array_equal(index.states(key(0), layer), states(0, layer))
    assert index.find(key(1), 3) is None
    assert index.find(key(2), 1) is None


def test_empty_store_holds_no_row(store):
    assert store.index().find(key(0), 1) is None


def test_shard_without_tokens_is_not_searched(store):
    """An extraction that was killed may leave layers alone: nothing says whose they are."""
    name = add_shard(store, [0], [1])
    store.path(name, "tokens.h5").unlink()
    assert store.index().find(key(0), 1) is None


def test_states_cannot_be_written_to(store):
    add_shard(store, [0], [1])
    with pytest.raises(ValueError, match="read-only"):
        store.index().states(key(0), 1)[0, 0] = 1


def test_dataset_in_chunks_cannot_be_mapped(tmp_path):
    with h5py.File(tmp_path / "chunked.h5", "w") as file:
        file.create_dataset("hidden", data=np.zeros((4, 4)), chunks=(2, 2))
    with pytest.raises(ValueError, match="not contiguous"):
        map_dataset(tmp_path / "chunked.h5", "hidden")


def test_recipe_is_written_once_in_words(store):
    store.write_recipe(RECIPE)
    path = store.folder / "recipe.json"
    assert json.loads(path.read_text(encoding="utf-8")) == RECIPE.as_json()
    inode = path.stat().st_ino
    store.write_recipe(RECIPE)
    assert path.stat().st_ino == inode


def test_log_grows_by_a_line_per_entry(store):
    store.log({"rows": 3})
    store.log({"rows": 4})
    lines = (store.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"rows": 3}, {"rows": 4}]


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "source.h5"
    path.write_bytes(b"x" * 1000)
    path.chmod(0o444)
    return path


def test_linker_makes_the_same_file(source, tmp_path):
    linker = Linker()
    linker.link(source, tmp_path / "a" / "b" / "target.h5")
    assert (tmp_path / "a" / "b" / "target.h5").samefile(source)
    assert linker.copied_bytes == 0


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_linker_copies_where_links_are_refused_and_counts(source, tmp_path, monkeypatch, code):
    def refuse(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    linker = Linker()
    for name in ("one", "two"):
        linker.link(source, tmp_path / name)
        assert not (tmp_path / name).samefile(source)
        assert (tmp_path / name).read_bytes() == source.read_bytes()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o444
    assert linker.copied_bytes == 2000
    assert linker.reason == os.strerror(code)


def test_linker_does_not_hide_other_errors(source, tmp_path):
    with pytest.raises(FileNotFoundError):
        Linker().link(tmp_path / "nowhere", tmp_path / "target")
    (tmp_path / "there").write_bytes(b"")
    with pytest.raises(FileExistsError):
        Linker().link(source, tmp_path / "there")
