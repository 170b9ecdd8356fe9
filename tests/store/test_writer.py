from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.core.files import write_bytes
from pipeline.features.manifest import ShardEntry
from pipeline.store.layer_image import layer_file
from pipeline.store.writer import (
    ShardTokens,
    index_file,
    key_array,
    row_offsets,
    tokens_file,
)

LENGTHS = np.array([3, 2, 4], np.int32)
TOTAL = int(LENGTHS.sum())
KEYS = [bytes([number]) * 32 for number in range(len(LENGTHS))]
HIDDEN = np.arange(TOTAL * 8, dtype=np.float16).reshape(TOTAL, 8)


def some_tokens() -> ShardTokens:
    return ShardTokens(
        per_token={
            "input_ids": np.arange(TOTAL, dtype=np.int32),
            "segment_ids": np.zeros(TOTAL, np.int8),
            "word_index": np.full(TOTAL, -1, np.int32),
            "char_offsets": np.full((TOTAL, 2), -1, np.int32),
        },
        row_offsets=row_offsets(LENGTHS),
        row_keys=key_array(KEYS),
        row_full_length=LENGTHS,
        row_words=LENGTHS - 2,
    )


def write_all(folder: Path) -> None:
    """A whole features row of two shards with the same rows."""
    for shard in ("one", "two"):
        write_bytes(folder / "shards" / shard / "tokens.h5", tokens_file(some_tokens()))
        write_bytes(folder / "shards" / shard / "layer_02.h5", *layer_file(HIDDEN, layer=2))
    index_bytes = index_file(
        shards=[ShardEntry(name, len(LENGTHS), TOTAL, {}) for name in ("one", "two")],
        layers=[2],
        width=8,
        dtype="float16",
        example_ids=["é", "b", "\U0001f43a"],
        example_rows=np.array([0, 1, 5], np.int64),
        row_offsets=row_offsets(np.tile(LENGTHS, 2)),
        row_keys=key_array(KEYS * 2),
    )
    write_bytes(folder / "features.h5", index_bytes)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_equal_content_gives_equal_bytes_at_different_times(tmp_path):
    write_all(tmp_path / "now")
    time.sleep(1.1)  # HDF5 would write whole seconds
    write_all(tmp_path / "some" / "where" / "later")
    now = files_of(tmp_path / "now")
    assert len(now) == 5
    assert files_of(tmp_path / "some" / "where" / "later") == now


def test_tokens_are_read_back_as_written(tmp_path):
    tokens = some_tokens()
    write_bytes(tmp_path / "tokens.h5", tokens_file(tokens))
    with h5py.File(tmp_path / "tokens.h5") as file:
        for name, values in tokens.per_token.items():
            assert file[name].dtype == values.dtype
            np.testing.assert_array_equal(file[name][()], values)
        for name in ("row_offsets", "row_keys", "row_full_length", "row_words"):
            np.testing.assert_array_equal(file[name][()], getattr(tokens, name))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_layer_is_read_back_as_written(tmp_path, dtype):
    write_bytes(tmp_path / "layer_07.h5", *layer_file(HIDDEN.astype(dtype), layer=7))
    with h5py.File(tmp_path / "layer_07.h5") as file:
        assert file.attrs["layer"] == 7
        assert file["hidden"].dtype == dtype
        np.testing.assert_array_equal(file["hidden"][()], HIDDEN.astype(dtype))


def test_virtual_datasets_lay_the_shards_end_to_end(tmp_path):
    write_all(tmp_path)
    with h5py.File(tmp_path / "features.h5") as file:
        np.testing.assert_array_equal(file["layers/02"][()], np.concatenate([HIDDEN, HIDDEN]))
        ids = some_tokens().per_token["input_ids"]
        np.testing.assert_array_equal(file["tokens/input_ids"][()], np.concatenate([ids, ids]))
        assert file["tokens/char_offsets"].shape == (2 * TOTAL, 2)
        assert file["examples/id"].asstr()[()].tolist() == ["é", "b", "\U0001f43a"]


def test_row_offsets_are_where_rows_begin():
    assert row_offsets(LENGTHS).tolist() == [0, 3, 5, 9]
    assert row_offsets(LENGTHS).dtype == np.int64


def test_row_offsets_do_not_overflow():
    lengths = np.full(3, 2**31 - 1, np.int32)
    assert row_offsets(lengths)[-1] == 3 * (2**31 - 1)


def test_row_offsets_of_no_rows_are_a_zero():
    assert row_offsets(np.zeros(0, np.int32)).tolist() == [0]


def test_key_array_holds_a_key_per_row():
    array = key_array(KEYS)
    assert array.dtype == np.uint8
    assert [row.tobytes() for row in array] == KEYS
    assert key_array([]).shape == (0, 32)


def test_files_of_tokens_are_built_in_threads_at_once():
    expected = tokens_file(some_tokens())
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: tokens_file(some_tokens()), range(40))) == {expected}
