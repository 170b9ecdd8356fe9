"""A disk that is full: one line, nothing half-written, and the next run goes on from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import random_sentences
from interrupted import start
from pipelines import labelled, prepared
from tracked import digests

from pipeline.features.hash_cache import HashCache
from pipeline.store.local import all_stores

pytestmark = pytest.mark.slow

SENTENCES = random_sentences(150)


@pytest.mark.parametrize("limit", [50, 5_000, 20_000, 60_000])
def test_a_full_disk_is_one_line_and_the_work_resumes(
    tiny_encoder: Path, tmp_path: Path, limit: int
) -> None:
    whole = prepared(tmp_path / "whole", labelled(SENTENCES))
    start(whole, tiny_encoder).join()
    project = prepared(tmp_path / "project", labelled(SENTENCES))
    process = start(project, tiny_encoder, file_limit=limit)
    process.join()
    assert process.exitcode == 2
    (line,) = (project / "output").read_text(encoding="utf-8").splitlines()
    assert line.startswith("error: ")
    assert "File too large; nothing half-written was left: free some space" in line
    assert not (project / "features").exists()
    assert not (project / "report.json").exists()
    assert list(project.rglob("*.tmp")) == []
    kept = {}
    for store in all_stores(project / ".features", HashCache()):
        for shard, file in store.files():
            assert store.holds(shard, file)
            kept[store.path(shard, file)] = store.path(shard, file).stat().st_ino
    process = start(project, tiny_encoder)
    process.join()
    assert process.exitcode == 0
    assert digests(project / "features") == digests(whole / "features")
    assert {path: path.stat().st_ino for path in kept} == kept
    assert json.loads((project / "report.json").read_text(encoding="utf-8"))["rows"] > 100
