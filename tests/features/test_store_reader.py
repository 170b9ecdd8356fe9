from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import random_sentences
from pipelines import extracted, labelled, prepared

from pipeline.core.errors import StoreError
from pipeline.features import reader
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import Features, open_features

SENTENCES = [*random_sentences(60), *random_sentences(60)[:5], ("ice",) * 60]
"""With repeated inputs, and one that is longer than a row may be (48 tokens)."""


@pytest.fixture(scope="module")
def folder(tiny_encoder, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("reader")
    return extracted(prepared(where, labelled(SENTENCES)), tiny_encoder, layers=(0, 2, 3))


@pytest.fixture(scope="module")
def features(folder) -> Features:
    return open_features(folder)


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    """Features that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "features"))


@pytest.fixture(scope="module")
def live(tiny_bert) -> Callable[[tuple[str, ...]], list[np.ndarray]]:
    """Transformers' own states of a sentence, every layer."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    model = AutoModel.from_pretrained(tiny_bert).eval()

    @torch.inference_mode()
    def states(words: tuple[str, ...]) -> list[np.ndarray]:
        inputs = tokenizer(
            list(words),
            is_split_into_words=True,
            truncation=True,
            max_length=48,
            return_tensors="pt",
        )
        output = model(input_ids=inputs["input_ids"], output_hidden_states=True)
        return [hidden[0].numpy() for hidden in output.hidden_states]

    return states


def change(path: Path, edit: Callable[[h5py.File], object]) -> None:
    path.chmod(0o644)
    with h5py.File(path, "r+") as file:
        edit(file)


def shard_file(folder: Path, name: str, shard: int = 1) -> Path:
    return folder / "shards" / open_features(folder).manifest.shards[shard].name / name


def test_states_equal_a_live_forward_pass(features, live):
    assert len(features.manifest.shards) > 2
    for number, words in enumerate(SENTENCES):
        expected = live(words)
        for layer in (0, 2, 3):
            states = features.states(f"s{number}", layer=layer)
            assert states.dtype == np.float32
            assert states.shape == expected[layer].shape
            assert np.abs(states - expected[layer]).max() <= 1e-5


def test_float16_states_are_the_float32_states_rounded(features, tiny_encoder, tmp_path):
    prepared(tmp_path, labelled(SENTENCES))
    half = open_features(extracted(tmp_path, tiny_encoder, storage_dtype="float16"))
    for number in range(len(SENTENCES)):
        exact = features.states(f"s{number}", layer=3)
        states = half.states(f"s{number}", layer=3)
        np.testing.assert_array_equal(states, exact.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("at_a_time", [1, 4, 4096])
def test_features_know_their_examples_without_keeping_their_ids(features, monkeypatch, at_a_time):
    monkeypatch.setattr(reader, "_IDS_AT_A_TIME", at_a_time)
    opened = open_features(features.folder)
    ids = [f"s{number}" for number in range(len(SENTENCES))]
    assert opened.are_of(ids)
    assert not opened.are_of(ids[:-1])
    assert not opened.are_of([*ids, "more"])
    assert not opened.are_of([*ids[:-1], "other"])
    assert not opened.are_of([ids[1], ids[0], *ids[2:]])
    assert "example_ids" not in vars(opened)


def test_examples_with_the_same_input_share_a_row(features):
    rows = dict(zip(features.example_ids, features.example_rows.tolist(), strict=True))
    first = {words: f"s{number}" for number, words in reversed(list(enumerate(SENTENCES)))}
    assert len(first) < len(SENTENCES)
    for number, words in enumerate(SENTENCES):
        assert rows[f"s{number}"] == rows[first[words]]
    assert len(features.row_offsets) == len(first) + 1


def test_layer_shards_laid_end_to_end_hold_the_rows(features):
    for layer in features.layers:
        hidden = np.concatenate(features.layer_shards(layer))
        assert hidden.shape == (features.manifest.tokens, features.width)
        begin, end = features.row_offsets[features.example_rows[7] :][:2]
        np.testing.assert_array_equal(hidden[begin:end], features.states("s7", layer=layer))


def test_layer_shards_are_read_only_memory_maps(features):
    for mapped in features.layer_shards(3):
        assert isinstance(mapped, np.memmap)
        assert not mapped.flags.writeable


def test_per_token_values_agree_with_the_row_offsets(features):
    starts = np.zeros(features.manifest.tokens, bool)
    starts[features.row_offsets[:-1]] = True
    np.testing.assert_array_equal(features.per_token("input_ids") == 2, starts)  # [CLS]
    assert features.per_token("char_offsets").shape == (features.manifest.tokens, 2)


def test_per_row_values_count_the_whole_input(features):
    words = features.per_row("row_words")[features.example_rows]
    assert words.tolist() == [len(sentence) for sentence in SENTENCES]
    lengths = np.diff(features.row_offsets)
    full = features.per_row("row_full_length")
    assert (full >= lengths).all()
    assert full[features.example_rows[-1]] == 62
    assert lengths[features.example_rows[-1]] == 48


def test_unknown_example_is_a_key_error(features):
    with pytest.raises(KeyError, match="nobody"):
        features.states("nobody", layer=3)


def test_layer_that_is_not_kept_is_refused(features):
    with pytest.raises(StoreError, match="keeps no layer 1; it keeps 0, 2, 3"):
        features.states("s0", layer=1)


def test_folder_without_features_says_what_to_run(tmp_path):
    with pytest.raises(StoreError, match="run `dvc repro`"):
        open_features(tmp_path)


def test_missing_shard_is_an_error_where_the_virtual_dataset_reads_nan(copy):
    shard_file(copy, "layer_03.h5").unlink()
    with h5py.File(copy / "features.h5") as file:
        assert np.isnan(file["layers/03"][()]).any()
    damaged = open_features(copy)
    with pytest.raises(StoreError, match=r"layer_03\.h5: is missing"):
        damaged.layer_shards(3)
    assert np.isfinite(damaged.states("s0", layer=2)).all()


def test_missing_index_file_is_an_error(copy):
    (copy / "features.h5").unlink()
    with pytest.raises(StoreError, match=r"features\.h5: is missing"):
        open_features(copy).states("s0", layer=3)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("encoding-version", np.int64(2), "holds icehouse-{kind} version 2, not"),
        ("encoding-type", "anndata", "holds anndata version 1, not"),
    ],
)
@pytest.mark.parametrize("kind", ["features", "tokens", "layer"])
def test_file_of_another_type_or_version_is_refused(copy, attribute, value, message, kind):
    path = {
        "features": copy / "features.h5",
        "tokens": shard_file(copy, "tokens.h5"),
        "layer": shard_file(copy, "layer_03.h5"),
    }[kind]
    change(path, lambda file: file.attrs.__setitem__(attribute, value))
    opened = open_features(copy)
    reads = {
        "features": lambda: opened.example_ids,
        "tokens": lambda: opened.per_token("input_ids"),
        "layer": lambda: opened.layer_shards(3),
    }
    with pytest.raises(StoreError, match=message.format(kind=kind)):
        reads[kind]()


def test_hdf5_file_that_says_nothing_of_itself_is_refused(copy):
    change(shard_file(copy, "layer_03.h5"), lambda file: file.attrs.clear())
    with pytest.raises(StoreError, match="holds None version None"):
        open_features(copy).layer_shards(3)


def test_shorter_layer_file_is_refused(copy):
    def shorten(file: h5py.File) -> None:
        values = file["hidden"][:-1]
        del file["hidden"]
        file["hidden"] = values

    change(shard_file(copy, "layer_03.h5"), shorten)
    with pytest.raises(StoreError, match=r"hidden is not \(\d+, 64\) float32"):
        open_features(copy).layer_shards(3)


@pytest.mark.parametrize("size", [0, 100])
def test_half_a_file_is_refused(copy, size):
    path = shard_file(copy, "layer_03.h5")
    path.chmod(0o644)
    os.truncate(path, size)
    with pytest.raises(StoreError, match="cannot be read as HDF5"):
        open_features(copy).layer_shards(3)


def flip(path: Path) -> None:
    """Changes the last byte, which in a layer's file is one of a state."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_check_accepts_what_was_written(features):
    assert features.check(features.layers, HashCache()) is None


@pytest.mark.parametrize("name", ["tokens.h5", "layer_03.h5"])
def test_check_finds_a_flipped_byte_in_a_shard(copy, name):
    flip(shard_file(copy, name))
    with pytest.raises(StoreError, match="is damaged, its bytes are not those"):
        open_features(copy).check([3], HashCache())


def test_check_finds_a_flipped_byte_in_the_index_file(copy):
    flip(copy / "features.h5")
    with pytest.raises(StoreError, match=r"features\.h5: is damaged"):
        open_features(copy).check([3], HashCache())


def test_check_finds_a_missing_file(copy):
    shard_file(copy, "layer_03.h5").unlink()
    with pytest.raises(StoreError, match=r"layer_03\.h5: is missing"):
        open_features(copy).check([3], HashCache())


def test_check_reads_the_layers_asked_for_only(copy):
    flip(shard_file(copy, "layer_03.h5"))
    assert open_features(copy).check([2], HashCache()) is None


def test_moved_features_read_the_same(features, copy):
    moved = open_features(str(copy))
    np.testing.assert_array_equal(
        moved.states("s3", layer=2), open_features(features.folder).states("s3", layer=2)
    )


def test_features_can_be_pickled_after_use(features):
    expected = features.states("s3", layer=3)
    restored = pickle.loads(pickle.dumps(features))  # noqa: S301  (our own bytes)
    np.testing.assert_array_equal(restored.states("s3", layer=3), expected)


def test_features_can_be_handed_to_another_process(features):
    expected = features.states("s3", layer=3)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        states = pool.submit(features.states, "s3", layer=3).result(timeout=60)
    np.testing.assert_array_equal(states, expected)


def test_open_features_is_found_where_older_notebooks_look_for_it() -> None:
    from pipeline import store

    assert store.open_features is open_features
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        store.nothing  # noqa: B018
