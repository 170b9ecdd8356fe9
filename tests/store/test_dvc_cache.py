"""What DVC's cache holds is found by dvc.lock, and repaired where it is damaged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from pipelines import extracted, prepared
from ruamel.yaml import YAML
from tracked import flip, track

from pipeline.features.reader import open_features
from pipeline.store.dvc_cache import DvcCache, parse_listing
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
    digest = "ab" + 30 * "c"
    assert DvcCache(tmp_path).object(digest) == Path("/far/away/files/md5/ab") / (30 * "c")
    (tmp_path / ".dvc" / "config").write_text("", encoding="utf-8")
    folder = tmp_path / ".dvc/cache/files/md5/ab"
    assert DvcCache(tmp_path).object(digest) == folder / (30 * "c")
    assert DvcCache(tmp_path).object(f"{digest}.dir") == folder / f"{30 * 'c'}.dir"


@pytest.mark.parametrize("digest", ["", "ab", "../../../../secret", "/etc/passwd", 31 * "a" + "\n"])
def test_what_is_no_digest_is_in_no_cache(tmp_path: Path, digest: str) -> None:
    (tmp_path / ".dvc").mkdir()
    assert DvcCache(tmp_path).object(digest) is None


@pytest.mark.parametrize(
    "entry",
    [
        {"relpath": "/etc/passwd", "md5": 32 * "a"},
        {"relpath": "../../secret", "md5": 32 * "a"},
        {"relpath": "a/./b", "md5": 32 * "a"},
        {"relpath": "a\x00b", "md5": 32 * "a"},
        {"relpath": "", "md5": 32 * "a"},
        {"relpath": ["a"], "md5": 32 * "a"},
        {"relpath": "a", "md5": "../../../../../secret"},
        {"relpath": "a", "md5": 3},
        {"relpath": "a"},
        "a",
        None,
    ],
)
def test_a_listing_that_names_what_no_folder_holds_is_no_listing(entry: object) -> None:
    good = {"relpath": "manifest.json", "md5": 32 * "a"}
    assert parse_listing(json.dumps([good]).encode()) == {"manifest.json": 32 * "a"}
    with pytest.raises(ValueError, match=r"."):
        parse_listing(json.dumps([good, entry]).encode())


@pytest.mark.parametrize("listing", [b"", b"{}", b"3", b"[", b"[" * 100_000, b'"text"'])
def test_a_listing_that_is_no_list_is_no_listing(listing: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_listing(listing)


@pytest.mark.parametrize("path", ["/etc", "../away", "a//b", "a\x00b", 3, ["features"]])
def test_an_output_that_is_outside_of_the_project_is_left_alone(
    features: Path, path: object
) -> None:
    track(features.parent, features)
    lock = features.parent / "dvc.lock"
    content = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))
    before = lock.read_bytes()
    content["stages"]["extract@features"]["outs"][0]["path"] = path
    lock.write_text(json.dumps(content), encoding="utf-8")
    assert list(DvcCache(features.parent).folders()) == []
    assert DvcCache(features.parent).folder(features) is None
    lock.write_bytes(before)


@pytest.mark.parametrize(
    "lock",
    [
        None,
        "",
        "stages: [",
        "stages: 3",
        "schema: '2.0'",
        "stages: {a: {outs: []}}",
        "stages: {a: 3}",
        "stages: {a: {outs: 3}}",
        "stages: {a: {outs: [3, [], {path: a}, {md5: a}, {path: a, md5: [1]}]}}",
        "stages: " + "[" * 2000,
        "stages: {a: {outs: [{path: features, md5: ../../../../secret.dir}]}}",
    ],
)
def test_a_project_that_tracks_nothing_has_no_folders(tmp_path: Path, lock: str | None) -> None:
    (tmp_path / ".dvc").mkdir()
    if lock is not None:
        (tmp_path / "dvc.lock").write_text(lock, encoding="utf-8")
    assert list(DvcCache(tmp_path).folders()) == []


def test_outside_a_dvc_project_the_cache_is_empty(tmp_path: Path) -> None:
    cache = DvcCache(tmp_path)
    assert list(cache.folders()) == []
    assert cache.object(32 * "a") is None
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
