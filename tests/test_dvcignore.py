"""Stages depend on whole folders: what editors and systems leave in them runs nothing again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from import_graph import ROOT

LITTER = (
    "__pycache__/module.cpython-311.pyc",
    "module.pyc",
    ".ipynb_checkpoints/module-checkpoint.py",
    ".module.py.swp",
    ".module.py.swo",
    "module.py~",
    ".#module.py",
    "#module.py#",
    ".DS_Store",
    "._module.py",
    ".idea/workspace.xml",
    ".vscode/settings.json",
    ".mypy_cache/3.11/module.json",
    ".pytest_cache/README.md",
    ".ruff_cache/CACHEDIR.TAG",
    ".hypothesis/constants/0",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of Git and DVC, with our ignore files and a stage that depends on a folder."""
    for name in (".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    room = tmp_path / "room"
    room.mkdir()
    (room / "module.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(
        'stages: {look: {cmd: "echo done", deps: [room]}}\n', encoding="utf-8"
    )
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc(tmp_path, "init", "-q")
    dvc(tmp_path, "repro", "-q")
    return tmp_path


def dvc(project: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project,
        env={**os.environ, "DVC_SITE_CACHE_DIR": str(project / ".site"), "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_litter_in_a_folder_changes_no_digest_and_is_not_for_git(project: Path) -> None:
    for name in LITTER:
        path = project / "room" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("litter", encoding="utf-8")
    assert dvc(project, "status", "--json").strip() == "{}"
    untracked = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-per-directory=.gitignore", "room"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert untracked.stdout.split() == ["room/module.py"]

    (project / "room" / "other.py").write_text("", encoding="utf-8")
    assert "room" in dvc(project, "status", "--json")


def test_nothing_that_git_tracks_is_ignored() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-per-directory=.gitignore"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == ""
