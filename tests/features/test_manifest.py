from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path

import pytest

from pipeline.core.errors import StoreError
from pipeline.features.manifest import Manifest, ShardEntry, read_manifest, write_manifest

FILES = ("tokens.h5", "layer_04.h5", "layer_06.h5")
RECIPE = {
    "format": 1,
    "extractor": 2,
    "encoder": {
        "weights": {"model.safetensors": "a" * 64},
        "config": {"config.json": "b" * 64},
        "tokenizer": {"tokenizer.json": "c" * 64},
    },
    "max_length": 128,
    "long_texts": "truncate",
    "compute_dtype": "float32",
    "storage_dtype": "float16",
}
MANIFEST = Manifest(
    recipe=RECIPE,
    layers=(4, 6),
    width=384,
    depth=6,
    dtype="float16",
    texts_sha256="b" * 64,
    entrance_sha256="c" * 64,
    shards=(
        ShardEntry("d" * 32, 3, 50, dict.fromkeys(FILES, "e" * 64)),
        ShardEntry("1" * 32, 2, 20, dict.fromkeys(FILES, "2" * 64)),
    ),
)


def rewrite(folder: Path, content: object) -> None:
    (folder / "manifest.json").unlink(missing_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "manifest.json").write_text(text, encoding="utf-8")


@pytest.fixture
def content(tmp_path) -> dict:
    """A manifest's JSON, which a test may change and write back."""
    write_manifest(tmp_path, MANIFEST)
    return json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))


def test_manifest_is_read_as_it_was_written(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST


def test_manifest_of_an_empty_corpus_is_read_as_it_was_written(tmp_path):
    empty = dataclasses.replace(MANIFEST, shards=())
    write_manifest(tmp_path, empty)
    assert read_manifest(tmp_path) == empty


def test_manifest_is_one_read_only_line_of_canonical_json(tmp_path, content):
    path = tmp_path / "manifest.json"
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert path.read_bytes() == canonical.encode("utf-8") + b"\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_tokens_are_those_of_all_shards():
    assert MANIFEST.tokens == 70


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_unknown_version_is_refused(tmp_path, content, version):
    rewrite(tmp_path, {**content, "format": version})
    with pytest.raises(StoreError, match=f"has format version {version}, this code reads"):
        read_manifest(tmp_path)


def test_missing_version_is_refused(tmp_path, content):
    del content["format"]
    rewrite(tmp_path, content)
    with pytest.raises(StoreError, match="has format version None"):
        read_manifest(tmp_path)


def test_missing_manifest_says_what_to_run(tmp_path):
    with pytest.raises(StoreError, match="no such file; run `dvc repro`"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"format": 1'])
def test_half_a_manifest_is_damaged(tmp_path, text):
    rewrite(tmp_path, text)
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(tmp_path)


def test_manifest_that_is_not_utf8_is_damaged(tmp_path):
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("key", ["shards", "layers", "width", "recipe", "entrance_sha256"])
def test_manifest_that_lacks_a_key_is_damaged(tmp_path, content, key):
    del content[key]
    rewrite(tmp_path, content)
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(tmp_path)


def test_manifest_with_an_unknown_key_is_damaged(tmp_path, content):
    rewrite(tmp_path, {**content, "device": "cuda"})
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(tmp_path)


def test_shard_that_lacks_a_key_is_damaged(tmp_path, content):
    del content["shards"][0]["rows"]
    rewrite(tmp_path, content)
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(tmp_path)
