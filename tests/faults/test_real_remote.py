"""A collaborator pushes features made to harm to the remote of DVC; another one pulls them.

Promise: who can push to the remote can make features damaged or wrong, and nothing else: no command
that reads them writes outside of the project, and each ends in one line or makes them anew.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dvc_project import Project
from forged import lock_output, manifest, sign, snapshot, track_as, write

from pipeline.features.reader import open_features

pytestmark = pytest.mark.slow

ROW = Path("data/features/news")
PRECIOUS = b"nobody's to write"


def attempt(project: Project, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that may fail."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error."""
    assert result.returncode == 2, result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def clone(project: Project, folder: Path) -> Project:
    project.run("git", "clone", "--quiet", str(project.folder), str(folder))
    return Project(folder)


@pytest.mark.parametrize("variant", ["absolute", "climbing"])
@pytest.mark.parametrize("key", ["name", "file"])
def test_what_a_collaborator_pushes_is_written_nowhere_else(
    pushed: Project, tmp_path: Path, variant: str, key: str
) -> None:
    outside = tmp_path / "outside"
    attacker = clone(pushed, tmp_path / "attacker")
    attacker.dvc("pull", str(ROW))
    row = attacker.folder / ROW
    content = manifest(row)
    shard = content["shards"][0]
    genuine = shard["name"]
    # From <project>/.features/<recipe>, or from a shard in it.
    way = "../../../outside" if key == "name" else "../../../../outside"
    place = str(outside) if variant == "absolute" else way
    files = {p.relative_to(row).as_posix(): p.read_bytes() for p in row.rglob("*") if p.is_file()}
    if key == "name":
        shard["name"] = place
        for file in shard["files"]:
            files[f"shards/{place}/{file}"] = files.pop(f"shards/{genuine}/{file}")
    else:
        for file in ("tokens.h5", "layer_04.h5"):
            shard["files"][f"{place}/{file}"] = shard["files"][file]
            files[f"shards/{genuine}/{place}/{file}"] = files[f"shards/{genuine}/{file}"]
    for file in ("tokens.h5", *shard["files"]):
        write(outside / Path(file).name, PRECIOUS)
    sign(content, row)
    files["manifest.json"] = (row / "manifest.json").read_bytes()
    digest = track_as(pushed.folder.parent / "remote", files)
    lock_output(attacker.folder / "dvc.lock", "extract@news", str(ROW), digest)
    attacker.run("git", "commit", "--quiet", "--all", "--message", "Better features")
    before = snapshot(outside)

    victim = clone(attacker, tmp_path / "victim")
    attempt(victim, "dvc", "pull")
    attempt(victim, "dvc", "checkout")
    assert snapshot(outside) == before

    extraction = attempt(
        victim,
        *("stages.extract", "news", "--texts", "data/text/news"),
        *("--encoder", "data/encoders/minilm", "--out", "again/news", "--report", "again/n.json"),
    )
    assert snapshot(outside) == before
    assert extraction.returncode == 0, extraction.stderr
    open_features(victim.folder / "again/news").verify()

    training = attempt(
        victim,
        *("stages.train", "news_topic", "--labels", "data/labels/news", "--features", str(ROW)),
        *("--out", "again/h", "--history", "again/h.csv", "--scores", "again/s.csv"),
        *("--layers", "again/l.csv"),
    )
    assert "is damaged" in refused(training)
    assert "is damaged" in refused(attempt(victim, "stages.store", "export", "news", "given.h5"))
    assert "is damaged" in refused(attempt(victim, "stages.store", "verify"))
    repair = attempt(victim, "stages.store", "verify", "--repair")
    assert repair.returncode == 0 or "is not, bit for bit, what was stored" in refused(repair)
    assert snapshot(outside) == before

    attempt(victim, "dvc", "repro", "--force", "--single-item", "extract@news")
    open_features(victim.folder / ROW).verify()
    assert snapshot(outside) == before
    assert not (victim.folder / "given.h5").exists()
