"""Rooms as DVC itself locks them, beside what Git alone says of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import Repository

from pipeline.lineage.content import read_content
from pipeline.lineage.git import Git
from pipeline.lineage.trace import trace
from pipeline.store.dvc_cache import DvcCache


@pytest.fixture
def project(tmp_path: Path) -> Repository:
    """A stage that depends on a room, run by DVC and committed with its lock."""
    repository = Repository(tmp_path)
    repository.write(".gitignore", "__pycache__\n.site\n/page.html\n")
    repository.write(".dvcignore", "__pycache__\n*.swp\n.vscode\n")
    for name in ("a.py", "_b.py", "B.py", "é.py", "assets/page.css", "assets-old/page.css"):
        repository.write(f"pipeline/report/{name}", f"# {name}\n")
    repository.write("pipeline/report/.a.py.swp", "litter that Git has")
    repository.write("pipeline/report/.vscode/settings.json", "{}")
    repository.write("pipeline/report/__pycache__/a.pyc", "bytes")
    write_page = "from pathlib import Path; Path('page.html').write_text('page')"
    repository.write(
        "dvc.yaml",
        f'stages: {{report: {{cmd: "{sys.executable} -c \\"{write_page}\\"", '
        "deps: [pipeline/report], outs: [page.html]}}\n",
    )
    for arguments in (("init",), ("repro",)):
        subprocess.run(
            [sys.executable, "-m", "dvc", *arguments, "--quiet"],
            cwd=tmp_path,
            env={
                **os.environ,
                "DVC_SITE_CACHE_DIR": str(tmp_path / ".site"),
                "DVC_NO_ANALYTICS": "1",
            },
            check=True,
        )
    repository.commit("A report")
    return repository


def differences(repository: Repository) -> tuple[str, ...]:
    with Git(repository.folder) as git:
        content = read_content(repository.folder / "page.html")
        found = trace(git, DvcCache(repository.folder), content, name="page.html", path="page.html")
        return found.differences


def test_a_room_as_dvc_locked_it_is_no_difference(project: Repository) -> None:
    assert differences(project) == ()
    project.write("pipeline/report/__pycache__/a.pyc", "other bytes")
    project.write("pipeline/report/.a.py.swp", "other litter")
    commit = project.commit("Litter")
    assert differences(project) == ()
    assert project.git("rev-parse", "HEAD") == commit


@pytest.mark.parametrize("path", ["a.py", "é.py", "assets/page.css", "new.py"])
def test_an_edit_without_a_new_lock_is_told_by_the_name_of_the_room(
    project: Repository, path: str
) -> None:
    project.write(f"pipeline/report/{path}", "# edited\n")
    # Lock and code in one new history: the older commit, which agrees, is no longer there to find.
    project.git("checkout", "--quiet", "--orphan", "other")
    project.commit("An edit beside an old lock")
    project.git("branch", "--quiet", "--delete", "--force", "main")
    assert differences(project) == ("pipeline/report",)
