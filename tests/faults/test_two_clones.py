"""Two clones of a project with one store, both in ``dvc repro`` at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dvc_project import Project, computed, ran
from flow import make_dvc_flow
from tracked import digests

from pipeline.features.hash_cache import HashCache
from pipeline.store.local import all_stores

pytestmark = pytest.mark.slow


def test_two_clones_that_reproduce_at_once_compute_every_shard_once_and_end_alike(
    tiny_bert: Path, tmp_path: Path
) -> None:
    """Both run the whole flow from nothing, and both end with the same ``dvc.lock``."""
    origin = make_dvc_flow(tmp_path / "origin", tiny_bert)
    (origin.folder / ".gitignore").write_text(".site-cache\n__pycache__\n", encoding="utf-8")
    origin.run("git", "add", "--all")
    origin.run("git", "commit", "--quiet", "--message", "Nothing has run yet")
    store = tmp_path / "store"
    clones = []
    for name in ("one", "two"):
        origin.run("git", "clone", "--quiet", str(origin.folder), str(tmp_path / name))
        (tmp_path / name / "studies").mkdir(exist_ok=True)
        clones.append(Project(tmp_path / name))
        clones[-1].environment["FEATURE_STORE"] = str(store)
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=clone.folder,
            env=clone.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for clone in clones
    ]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert [len(ran(output)) for output in said] == [7, 7]
    rows = len({path["id"] for path in corpus(clones[0])})
    assert sorted(computed(said[0]) + computed(said[1])) == [0, rows]
    (kept,) = all_stores(store, HashCache())
    shards = [shard for entry in kept.read_log() for shard in entry.get("shards", ())]
    assert sorted(shards) == kept.shards(), "each was computed once"
    one, two = (outputs(clone) for clone in clones)
    assert one == two
    assert clones[0].lock() == clones[1].lock()
    for clone in clones:
        assert "up to date" in clone.dvc("status")
        clone.run(sys.executable, "-m", "stages.store", "verify")


def corpus(clone: Project) -> list[dict[str, object]]:
    """The rows of its raw corpus."""
    lines = (clone.folder / "data" / "raw" / "small.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in lines.splitlines()]


def outputs(clone: Project) -> dict[str, str]:
    """Digests of all that the stages have written."""
    return {
        f"{name}/{path}": digest
        for name in ("data", "models", "reports")
        for path, digest in digests(clone.folder / name).items()
    }
