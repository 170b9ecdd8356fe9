"""A features row of every format version, as that version's code wrote it, still reads the same.

``archive/v<N>/features`` was written by the first code of version N, with a random BERT; what it
read back at the time is in ``expected.json``. Neither is ever written again.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.features.layout import FORMAT_VERSION
from pipeline.features.reader import open_features

ARCHIVE = Path(__file__).parent / "archive"
VERSIONS = sorted(path.name for path in ARCHIVE.iterdir())


def test_every_version_is_archived() -> None:
    assert [f"v{version}" for version in range(1, FORMAT_VERSION + 1)] == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_archived_features_are_whole_and_read_as_they_did(version: str) -> None:
    features = open_features(ARCHIVE / version / "features")
    features.verify()
    expected = json.loads((ARCHIVE / version / "expected.json").read_text(encoding="utf-8"))
    assert list(features) == list(expected)
    assert len(features.manifest.shards) > 1
    for example, values in expected.items():
        tokens = features.tokens(example)
        for field in ("input_ids", "word_index", "char_offsets"):
            assert getattr(tokens, field).tolist() == values[field]
        assert {str(layer) for layer in features.layers} == values["states"].keys()
        for layer, states in values["states"].items():
            read = features.states(example, layer=int(layer))
            assert read.dtype == np.float32
            assert read[: len(states)].tolist() == states


@pytest.mark.parametrize("version", VERSIONS)
def test_archived_features_read_with_h5py_alone(version: str) -> None:
    features = open_features(ARCHIVE / version / "features")
    with h5py.File(ARCHIVE / version / "features" / "features.h5") as file:
        for layer in features.layers:
            states = np.concatenate(features.layer_shards(layer))
            assert np.array_equal(file[f"layers/{layer:02d}"][()], states)
