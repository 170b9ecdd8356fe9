from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.extraction.estimate import cost_of_layer
from pipeline.features.manifest import Manifest, ShardEntry, write_manifest
from pipeline.store.keys import Recipe
from pipeline.store.local import LocalStore

RECIPE = Recipe(
    encoder={"weights": {"model.safetensors": "a" * 64}, "config": {}, "tokenizer": {}},
    max_length=128,
    long_texts="truncate",
    compute_dtype="float32",
    storage_dtype="float16",
)
FILES = dict.fromkeys(("tokens.h5", "layer_12.h5"), "d" * 64)


@pytest.fixture
def features(tmp_path) -> Path:
    """A million tokens of width 384 in float16, of which no byte is there."""
    folder = tmp_path / "features"
    manifest = Manifest(
        recipe=RECIPE.as_json(),
        layers=(12,),
        width=384,
        depth=12,
        dtype="float16",
        texts_sha256="b" * 64,
        entrance_sha256="c" * 64,
        shards=(
            ShardEntry("a" * 32, 1, 400_000, FILES),
            ShardEntry("b" * 32, 1, 600_000, FILES),
        ),
    )
    write_manifest(folder, manifest)
    return folder


def log(store_root: Path, **entry) -> None:
    LocalStore.of(store_root, RECIPE).log({"seconds": 0.0, "tokens": 0, "layers": [], **entry})


def test_nothing_is_known_before_the_first_extraction(tmp_path):
    assert cost_of_layer(tmp_path / "nowhere", 4, store_root=tmp_path) == (
        "disk and time are known after the first extraction"
    )


def test_disk_is_known_without_a_log(features, tmp_path):
    size = 1_000_000 * 384 * 2 / 1e6
    assert cost_of_layer(features, 4, store_root=tmp_path) == f"about {size:.0f} MB of disk"


def test_time_is_that_of_the_logged_work_scaled_to_the_layer(features, tmp_path):
    log(tmp_path, tokens=1000, layers=[4, 12], seconds=26.0)  # 13 layers with the embeddings
    words = cost_of_layer(features, 4, store_root=tmp_path)
    assert words == f"about 768 MB of disk and {1_000_000 * 5 * 26 // (1000 * 13)} s of encoding"


def test_time_is_averaged_over_the_log(features, tmp_path):
    log(tmp_path, tokens=1000, layers=[4], seconds=4.0)
    log(tmp_path, tokens=3000, layers=[4], seconds=16.0)
    words = cost_of_layer(features, 4, store_root=tmp_path)
    assert words.endswith(f" {1_000_000 * 5 * 20 // (4000 * 5)} s of encoding")


def test_quick_work_is_said_to_take_a_second(features, tmp_path):
    log(tmp_path, tokens=10**9, layers=[12], seconds=1.0)
    assert cost_of_layer(features, 0, store_root=tmp_path).endswith(" and 1 s of encoding")


def test_log_without_any_encoding_says_nothing_of_time(features, tmp_path):
    log(tmp_path, layers=[], seconds=1.0)
    log(tmp_path, layers=[4], tokens=0, seconds=1.0)
    assert cost_of_layer(features, 4, store_root=tmp_path) == "about 768 MB of disk"


def test_log_of_another_recipe_is_not_used(features, tmp_path):
    other = Recipe(**{**RECIPE.__dict__, "max_length": 64})
    LocalStore.of(tmp_path, other).log({"tokens": 10, "layers": [4], "seconds": 1.0})
    assert cost_of_layer(features, 4, store_root=tmp_path) == "about 768 MB of disk"
