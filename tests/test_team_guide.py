"""What docs/guides/team.md shows is what happens, in three clones with a folder as remote."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from console import matches
from dvc_project import Project
from import_graph import ROOT

pytestmark = pytest.mark.slow

GUIDE = (ROOT / "docs" / "guides" / "team.md").read_text(encoding="utf-8")
SECRET = "wJalrXUtnFEMI/EXAMPLE"  # noqa: S105  (that of no one)


def sessions() -> list[tuple[str, str, str]]:
    """``(who, command, output)`` of every command in the guide's console blocks, in order."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL):
        parts = re.split(r"^(\w+)\$ ", block, flags=re.MULTILINE)[1:]
        for who, text in zip(parts[::2], parts[1::2], strict=True):
            command, _, output = text.partition("\n")
            found.append((who, command, output))
    return found


@pytest.fixture
def team(pushed: Project, tmp_path: Path) -> Path:
    """Ada's clone with everything in it and no remote; places for two others."""
    pushed.run("git", "clone", "--quiet", str(pushed.folder), str(tmp_path / "ada"))
    pushed.run(
        "git", "init", "--quiet", "--bare", "--initial-branch=main", f"{tmp_path}/project.git"
    )
    ada = Project(tmp_path / "ada")
    ada.dvc("pull", "--quiet")
    ada.dvc("remote", "remove", "shared")
    ada.run("git", "commit", "--quiet", "--all", "--message", "No remote yet")
    ada.run("git", "branch", "--move", "main")
    ada.run("git", "remote", "set-url", "origin", "../project.git")
    ada.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    for name in ("ben", "ci"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_every_command_of_the_guide_prints_what_the_guide_shows(team: Path) -> None:
    commands = sessions()
    assert len(commands) == 48
    for who, command, expected in commands:
        project = Project(team / who)
        result = subprocess.run(
            ["bash", "-c", command],
            cwd=project.folder,
            env={
                **project.environment,
                "PYTHONWARNINGS": "ignore",
                "DVC_SITE_CACHE_DIR": str(team / f"site-cache-{who}"),
                "OFFSITE_SECRET": SECRET,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert matches(expected, result.stdout), f"{who}$ {command}\n{result.stdout}"
    ada = Project(team / "ada")
    assert SECRET in (ada.folder / ".dvc" / "config.local").read_text(encoding="utf-8")
    assert (ada.folder / ".dvc" / "config.local").stat().st_mode & 0o077 == 0
    assert SECRET not in ada.run("git", "log", "--patch", "--all")
    assert SECRET not in "".join(output for _, _, output in commands)


def test_files_that_the_guide_links_to_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", GUIDE):
        assert (ROOT / "docs" / "guides" / target).exists()
