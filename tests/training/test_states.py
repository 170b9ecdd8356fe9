from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_sentences
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import extracted, labelled, prepared
from tracked import digests

from pipeline.core.errors import StoreError
from pipeline.features.reader import Features, open_features
from pipeline.training.gpu_states import TrainingSources
from pipeline.training.states import MappedStates

CPU = torch.device("cpu")
SENTENCES = [*random_sentences(150), *random_sentences(150)[:9]]
"""With repeated inputs, which share a row."""


@pytest.fixture(scope="module", params=["float32", "float16"])
def folder(
    request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    where = prepared(tmp_path_factory.mktemp("states"), labelled(SENTENCES))
    return extracted(where, tiny_encoder, storage_dtype=request.param, shard_tokens=256)


@pytest.fixture(scope="module")
def features(folder: Path) -> Features:
    opened = open_features(folder)
    assert len(opened.manifest.shards) > 5
    return opened


def expected(features: Features, rows: list[int], layers: list[int]) -> np.ndarray:
    """The layers side by side, row after row, by the reader's own way to one example."""
    example = {int(row): name for name, row in zip(features, features.example_rows, strict=True)}
    states = [
        np.concatenate([features.states(example[row], layer=layer) for layer in layers], 1)
        for row in rows
    ]
    return np.concatenate(states)


ROWS = st.lists(st.integers(0, 120), min_size=1, max_size=20)


@settings(deadline=None)
@given(rows=ROWS, layers=st.sampled_from([[2], [3], [2, 3], [3, 2]]))
def test_states_are_those_of_the_rows_in_any_order(
    features: Features, rows: list[int], layers: list[int]
) -> None:
    states = MappedStates(features, layers).read(np.array(rows))
    assert states.dtype == torch.float32
    np.testing.assert_array_equal(states.numpy(), expected(features, rows, layers))


@settings(deadline=None, max_examples=20)
@given(batches=st.lists(ROWS, min_size=2, max_size=5))
def test_a_batch_may_be_smaller_or_larger_than_the_one_before(
    features: Features, batches: list[list[int]]
) -> None:
    states = MappedStates(features, [2, 3])
    for rows in batches:
        np.testing.assert_array_equal(
            states.read(np.array(rows)).numpy(), expected(features, rows, [2, 3])
        )


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files by /proc")
def test_opening_many_shards_takes_a_file_each_and_nothing_else(folder: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    features = open_features(folder)
    before = open_files()
    states = MappedStates(features, [2, 3])
    assert open_files() - before == 2 * len(features.manifest.shards)
    states.read(np.arange(120))
    assert open_files() - before == 2 * len(features.manifest.shards)


def test_memory_is_used_again(features: Features) -> None:
    states = MappedStates(features, [2])
    places = {states.read(np.arange(n)).data_ptr() for n in (20, 3, 20, 1)}
    assert len(places) == 1


def test_states_read_while_scoring_may_be_learnt_from_afterwards(features: Features) -> None:
    """The first batch that is read, and so the memory, may come in inference mode."""
    states = MappedStates(features, [3])
    weight = torch.ones(features.width, requires_grad=True)
    rows = np.arange(4)
    with torch.inference_mode():
        scored = (states.read(rows) @ weight).sum().item()
    for _ in range(2):
        read = states.read(rows)
        assert not read.is_inference()
        learnt = (read @ weight).sum()
        learnt.backward()
        assert learnt.item() == scored
        with torch.inference_mode():
            states.read(rows)
    assert weight.grad is not None


def test_nothing_is_written_to_the_files(folder: Path) -> None:
    before = digests(folder)
    states = MappedStates(open_features(folder), [2, 3])
    states.will_need(np.arange(100))
    states.read(np.arange(100)).mul_(0)
    with pytest.raises(ValueError, match="read-only"):
        open_features(folder).layer_shards(2)[0][:] = 0
    again = MappedStates(open_features(folder), [2, 3]).read(np.arange(100))
    assert again.abs().sum() > 0
    assert digests(folder) == before


def test_what_will_be_needed_is_asked_for_shard_by_shard(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = MappedStates(features, [2, 3])
    count = len(features.manifest.shards)
    asked: list[int] = []

    class Watched:
        def __init__(self, number: int) -> None:
            self.number = number

        def madvise(self, advice: int) -> None:
            assert advice == mmap.MADV_WILLNEED
            asked.append(self.number)

    monkeypatch.setattr(states, "_files", [Watched(number) for number in range(2 * count)])
    first_of = np.searchsorted(
        features.row_offsets, np.cumsum([shard.tokens for shard in features.manifest.shards])
    )
    states.will_need(np.array([0, int(first_of[0]), 0]))
    assert asked == [0, 1, count, count + 1]


def test_a_layer_that_is_not_kept_is_refused(features: Features) -> None:
    with pytest.raises(StoreError, match="keeps no layer 1"):
        MappedStates(features, [1])


def test_training_on_a_cpu_maps_the_files(features: Features) -> None:
    assert isinstance(TrainingSources(features, CPU).open([3]), MappedStates)
