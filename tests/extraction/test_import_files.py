"""What another machine computed, and DVC brought, is not computed again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import random_sentences
from pipelines import extracted, labelled, prepared
from tracked import digests, flip, track

SENTENCES = list(dict.fromkeys(random_sentences(120)))


@pytest.fixture
def clone(tiny_encoder: Path, tmp_path: Path) -> Path:
    """After ``dvc pull``: features in DVC's cache, no store, and DVC has removed the output."""
    folder = prepared(tmp_path / "clone", labelled(SENTENCES))
    features = extracted(folder, tiny_encoder)
    track(folder, features, linked=False)
    shutil.rmtree(folder / "store")
    shutil.rmtree(features)
    return folder


def test_adopted_features_are_those_of_a_cold_run(
    clone: Path, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    cold = digests(extracted(prepared(tmp_path / "cold", labelled(SENTENCES)), tiny_encoder))
    encoded.clear()
    assert digests(extracted(clone, tiny_encoder)) == cold
    assert encoded == []


def test_adopted_shards_are_once_on_disk(clone: Path, tiny_encoder: Path) -> None:
    features = extracted(clone, tiny_encoder)
    for path in (features / "shards").rglob("*.h5"):
        # the workspace, the store and DVC's cache
        assert path.stat().st_nlink == 3


def test_one_edited_text_is_one_row_computed(
    clone: Path, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    edited = [*SENTENCES[:50], ("wolf", "wolf", "wolf", "song"), *SENTENCES[51:]]
    features = extracted(prepared(clone, labelled(edited)), tiny_encoder)
    assert encoded == [1]
    cold = extracted(prepared(tmp_path / "cold", labelled(edited)), tiny_encoder)
    assert digests(features) == digests(cold)


def test_a_damaged_content_of_the_cache_is_computed_and_mended(
    clone: Path, tiny_encoder: Path, encoded: list[int]
) -> None:
    before = digests(clone / ".dvc" / "cache")
    content = next(
        path
        for path in (clone / ".dvc" / "cache").rglob("*")
        if path.is_file() and path.stat().st_size > 100_000
    )
    flip(content)
    extracted(clone, tiny_encoder)
    assert len(encoded) == 1
    assert 0 < encoded[0] < len(SENTENCES)
    assert digests(clone / ".dvc" / "cache") == before


def test_a_damaged_store_does_not_spread(
    tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    """One inode is in the store and DVC's cache; both are repaired, though verify was not run."""
    folder = prepared(tmp_path / "p", labelled(SENTENCES))
    features = extracted(folder, tiny_encoder)
    before = digests(features)
    objects = track(folder, features)
    cache = digests(folder / ".dvc" / "cache")
    name = next(name for name in objects if name.endswith("layer_03.h5"))
    flip(features / name)
    assert digests(folder / ".dvc" / "cache") != cache
    encoded.clear()
    assert digests(extracted(folder, tiny_encoder)) == before
    assert len(encoded) == 1
    assert digests(folder / ".dvc" / "cache") == cache
    assert (features / name).samefile(objects[name])


def test_features_of_another_recipe_are_left_alone(
    clone: Path, tiny_encoder: Path, encoded: list[int]
) -> None:
    extracted(clone, tiny_encoder, storage_dtype="float16")
    assert sum(encoded) == len(SENTENCES)


def test_shards_without_a_wanted_row_are_left_alone(
    clone: Path, tiny_encoder: Path, encoded: list[int]
) -> None:
    """On another disk every imported shard would be a copy."""
    others = [one for one in set(random_sentences(40, seed=11)) if one not in SENTENCES]
    extracted(prepared(clone, labelled(others)), tiny_encoder)
    assert sum(encoded) == len(others)
    assert all(path.stat().st_nlink == 2 for path in (clone / "store").rglob("*.h5"))
