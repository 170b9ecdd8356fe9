"""States on a GPU, tried on a CPU: what is held or streamed is what the files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_sentences
from fused_heads import everywhere
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import extracted, labelled, prepared

from pipeline.features.reader import Features, open_features
from pipeline.training import gpu_states
from pipeline.training.gpu_states import HeldStates, StreamedStates, TrainingSources, on_device
from pipeline.training.states import MappedStates, TrainingStates

CPU = torch.device("cpu")
ROWS = st.lists(st.integers(0, 120), min_size=1, max_size=20)


@pytest.fixture(scope="module", params=["float32", "float16"])
def features(
    request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Features:
    where = prepared(tmp_path_factory.mktemp("gpu_states"), labelled(random_sentences(150)))
    folder = extracted(where, tiny_encoder, storage_dtype=request.param, shard_tokens=256)
    opened = open_features(folder)
    assert len(opened.manifest.shards) > 5
    return opened


def held(features: Features, layers: list[int]) -> HeldStates:
    mapped = MappedStates(features, layers)
    return HeldStates([on_device(shards, CPU) for shards in mapped.layers], features.row_offsets)


@pytest.mark.parametrize("kind", ["held", "streamed"])
@settings(deadline=None, max_examples=20)
@given(batches=st.lists(ROWS, min_size=1, max_size=7), layers=st.sampled_from([[2], [3, 2]]))
def test_batches_in_turn_are_those_of_the_files(
    features: Features, kind: str, batches: list[list[int]], layers: list[int]
) -> None:
    mapped = MappedStates(features, layers)
    states: TrainingStates = (
        held(features, layers) if kind == "held" else StreamedStates(mapped, CPU)
    )
    rows = [np.array(batch) for batch in batches]
    found = [tokens.clone() for tokens in states.read_in_turn(iter(rows), CPU)]
    assert len(found) == len(rows)
    for batch, tokens in zip(rows, found, strict=True):
        assert tokens.dtype == torch.float32
        assert torch.equal(tokens, mapped.read(batch))
    assert torch.equal(states.read(rows[0]), mapped.read(rows[0]))


def test_the_next_batch_is_on_its_way_before_one_is_computed_with(features: Features) -> None:
    states = StreamedStates(MappedStates(features, [3]), CPU)
    asked: list[int] = []

    def batches():
        for number in range(4):
            asked.append(number)
            yield np.array([number])

    for number, _ in enumerate(states.read_in_turn(batches(), CPU)):
        assert asked == list(range(min(number + 2, 4)))


def test_two_buffers_are_used_again_and_again(features: Features) -> None:
    states = StreamedStates(MappedStates(features, [3]), CPU)
    largest = [np.arange(20)] * 2
    list(states.read_in_turn(largest, CPU))
    places = {buffer.data_ptr() for buffer in states._buffers}
    list(states.read_in_turn([np.arange(n) for n in (3, 20, 1, 7)], CPU))
    assert {buffer.data_ptr() for buffer in states._buffers} == places
    assert len(places) == 2


def test_a_layer_is_held_once_for_all_heads(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(monkeypatch)
    monkeypatch.setattr(gpu_states, "free_bytes", lambda _: 1 << 40)
    sources = TrainingSources(features, CPU)
    one, both = sources.open([3]), sources.open([2, 3])
    assert isinstance(one, HeldStates)
    assert isinstance(both, HeldStates)
    assert one._layers[0] is both._layers[1]
    assert both._layers[0].dtype == MappedStates(features, [2]).dtype
    rows = np.array([7, 0, 99, 7])
    assert torch.equal(both.read(rows), MappedStates(features, [2, 3]).read(rows))


def test_layers_that_do_not_fit_are_streamed(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for one layer and a half, of which a share is left to training."""
    everywhere(monkeypatch)
    layer = sum(shard.nbytes for shard in MappedStates(features, [2]).layers[0])
    monkeypatch.setattr(gpu_states, "free_bytes", lambda _: 1.5 * layer)
    sources = TrainingSources(features, CPU)
    assert isinstance(sources.open([2, 3]), StreamedStates)
    assert isinstance(sources.open([2]), HeldStates)
    monkeypatch.setattr(gpu_states, "free_bytes", lambda _: 1.17 * layer)
    assert isinstance(sources.open([3]), StreamedStates), "more than 85%"
    assert isinstance(sources.open([2]), HeldStates), "held already"


def test_a_gpu_that_is_full_all_the_same_is_streamed_to(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    everywhere(monkeypatch)
    monkeypatch.setattr(gpu_states, "free_bytes", lambda _: 1 << 40)
    monkeypatch.setattr(gpu_states, "on_device", full)
    assert isinstance(TrainingSources(features, CPU).open([3]), StreamedStates)
