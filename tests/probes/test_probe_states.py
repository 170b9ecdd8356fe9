"""A text's vector is the mean of its states, a word's that of its first token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import random_sentences
from pipelines import extracted, labelled, prepared, prepared_pairs

from pipeline.corpus.storage import read_labels
from pipeline.features.reader import Features, open_features
from pipeline.ingest.rows import Example
from pipeline.probes import rows, states
from pipeline.probes.states import vectors_of
from pipeline.tasks.dataset import LabelledDataset, Split, build_dataset
from pipeline.tasks.registry import default_label_type


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of several shards, with texts that occur twice and one that is cut off."""
    examples = labelled(random_sentences(90))
    twice = [
        Example(f"again {number}", example.text, example.labels, 1)
        for number, example in enumerate(examples[:5])
    ]
    (long,) = (replace(one, id="long") for one in labelled([("wolf",) * 60]))
    where = prepared(tmp_path_factory.mktemp("probe"), [*examples, *twice, long])
    extracted(where, tiny_encoder, storage_dtype="float16")
    return where


def aligned(folder: Path, label: str) -> tuple[Features, LabelledDataset]:
    features = open_features(folder / "features")
    assert len(features.manifest.shards) > 2
    labels = read_labels(folder / "labels", label)
    return features, build_dataset(labels, features, default_label_type(labels.kind))


def read(features: Features, layers: list[int], split: Split) -> np.ndarray:
    found = vectors_of(features, layers, split)
    parts = list(found.map(lambda block, span: (block.values.numpy(), span)))
    assert all(part.dtype == np.float32 for part, _ in parts)
    assert [span.start for _, span in parts] == np.cumsum([0, *(len(p) for p, _ in parts)])[
        :-1
    ].tolist()
    values = np.concatenate([part for part, _ in parts])
    assert values.shape == (found.count, found.width)
    return values


@pytest.fixture(autouse=True, params=["small blocks", "mapped means", "as they are"])
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "small blocks":
        monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 1 << 9)
    if request.param == "mapped means":
        monkeypatch.setattr(states, "_NUMBERS_IN_MEMORY", 0)


@pytest.mark.parametrize("layers", [[2], [3, 2]], ids=["one layer", "two layers"])
def test_texts_are_means_of_all_their_tokens(folder: Path, layers: list[int]) -> None:
    features, data = aligned(folder, "kind")
    for split in data.splits.values():
        for example, vector in zip(split.ids, read(features, layers, split), strict=True):
            expected = [features.states(example, layer=layer).mean(0) for layer in layers]
            assert vector == pytest.approx(np.concatenate(expected), abs=1e-5)


@pytest.mark.parametrize("layers", [[2], [3, 2]], ids=["one layer", "two layers"])
def test_pairs_apart_are_the_means_of_both_texts_joined(
    tiny_encoder: Path, tmp_path: Path, layers: list[int]
) -> None:
    extracted(prepared_pairs(tmp_path), tiny_encoder, pairs="apart")
    features, data = aligned(tmp_path, "size")
    for split in data.splits.values():
        for example, vector in zip(split.ids, read(features, layers, split), strict=True):
            u, v = (
                np.concatenate(
                    [features.states(example, layer=layer, text=text).mean(0) for layer in layers]
                )
                for text in (0, 1)
            )
            cosine = u @ v / np.sqrt((u @ u) * (v @ v))
            expected = np.concatenate([u, v, np.abs(u - v), u * v, [cosine]])
            assert vector == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("layers", [[2], [3, 2]], ids=["one layer", "two layers"])
def test_words_are_the_states_of_their_first_tokens(folder: Path, layers: list[int]) -> None:
    features, data = aligned(folder, "tags")
    without = 0
    for split in data.splits.values():
        expected = []
        for example, tags in zip(split.ids, split.gold, strict=True):
            word_index = features.tokens(example).word_index
            held = [features.states(example, layer=layer) for layer in layers]
            for word in range(len(tags)):
                tokens = np.flatnonzero(word_index == word)
                if len(tokens):
                    expected.append(np.concatenate([layer[tokens[0]] for layer in held]))
                without += not len(tokens)
        assert np.array_equal(read(features, layers, split), np.stack(expected))
    assert without > 0
