"""What DVC's cache holds is found by dvc.lock, and repaired where it is damaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pipelines import extracted, prepared
from tracked import flip, track

from pipeline.features.reader import open_features
from pipeline.store.dvc_cache import DvcCache
from pipeline.store.links import Linker


@pytest.fixture(scope="module")
def features(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extracted(prepared(tmp_path_factory.mktemp("cached")), tiny_encoder)


def test_tracked_folders_are_listed_with_their_files(features: Path) -> None:
    objects = track(features.parent, features)
    (found,) = DvcCache(features.parent).folders()
    assert found.path == "features"
    assert found.files == objects
    assert found.holds_features
    assert found.manifest() == open_features(features).manifest
    assert DvcCache(features.parent).folder(features) == found
    assert DvcCache(features.parent).folder(features.parent / "elsewhere") is None


def test_the_cache_may_be_elsewhere(features: Path, tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[cache]\n    dir = /far/away\n", encoding="utf-8")
    assert DvcCache(tmp_path).object("abcd") == Path("/far/away/files/md5/ab/cd")
    (tmp_path / ".dvc" / "config").write_text("", encoding="utf-8")
    assert DvcCache(tmp_path).object("abcd") == tmp_path / ".dvc/cache/files/md5/ab/cd"


@pytest.mark.parametrize(
    "lock", [None, "", "stages: [", "stages: 3", "schema: '2.0'", "stages: {a: {outs: []}}"]
)
def test_a_project_that_tracks_nothing_has_no_folders(tmp_path: Path, lock: str | None) -> None:
    (tmp_path / ".dvc").mkdir()
    if lock is not None:
        (tmp_path / "dvc.lock").write_text(lock, encoding="utf-8")
    assert list(DvcCache(tmp_path).folders()) == []


def test_outside_a_dvc_project_the_cache_is_empty(tmp_path: Path) -> None:
    cache = DvcCache(tmp_path)
    assert list(cache.folders()) == []
    assert cache.object("abcd") is None
    (tmp_path / "file").write_bytes(b"x")
    assert cache.repair(tmp_path / "file", Linker()) is None


def test_a_listing_that_is_damaged_is_no_listing(features: Path) -> None:
    track(features.parent, features)
    listing = next((features.parent / ".dvc" / "cache").rglob("*.dir"))
    before = listing.read_bytes()
    flip(listing)
    assert list(DvcCache(features.parent).folders()) == []
    listing.write_bytes(before)


def test_a_folder_without_features_has_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "texts.jsonl").write_bytes(b"{}")
    track(tmp_path, tmp_path / "texts")
    (found,) = DvcCache(tmp_path).folders()
    assert not found.holds_features
    assert found.manifest() is None
    damaged = dataclasses.replace(found, files={"manifest.json": tmp_path / "texts/texts.jsonl"})
    assert damaged.manifest() is None


def test_a_damaged_content_is_replaced_and_an_intact_one_left(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("one", "two"):
        (tmp_path / "out" / name).write_bytes(name.encode())
    objects = track(tmp_path, tmp_path / "out", linked=False)
    flip(objects["one"])
    cache, linker = DvcCache(tmp_path), Linker()
    assert cache.repair(tmp_path / "out" / "one", linker) == objects["one"]
    assert objects["one"].samefile(tmp_path / "out" / "one")
    assert cache.repair(tmp_path / "out" / "two", linker) is None
    assert not objects["two"].samefile(tmp_path / "out" / "two")
    (tmp_path / "new").write_bytes(b"DVC has never seen this")
    assert cache.repair(tmp_path / "new", linker) is None
