"""A home that is not there, or cannot be written to: no command needs one.

In clusters and containers HOME is often read-only, empty or of another user. Each command is
started anew here, because libraries look for their folders when they are imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import small_disk
from dvc_project import ran
from flow import STAGES, make_dvc_flow
from import_graph import ROOT

pytestmark = pytest.mark.slow

RUN_ALL = """
import importlib, sys
for command in {commands!r}:
    try:
        importlib.import_module("stages." + command[0]).main(list(command[1:]))
    except SystemExit as end:
        if end.code:
            sys.exit(f"{{command}}: exit code {{end.code}}")
"""
"""All commands in one process, so that libraries are imported once."""

CACHES = ("HF_HOME", "HF_HUB_CACHE", "HF_MODULES_CACHE", "TORCH_HOME", "MPLCONFIGDIR")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to, not even root."""
    with small_disk(tmp_path / "home", "1m") as disk:
        (disk.folder / ".cache").mkdir()
        disk.remount("ro")
        yield disk.folder
        disk.remount("rw")


def environment(home: Path) -> dict[str, str]:
    """What the command is started with."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in (*CACHES, "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "FEATURE_STORE"):
        variables.pop(name, None)
    return variables | {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}


@pytest.mark.parametrize("name", [".", "nobody"])
def test_all_commands_run_with_a_home_that_is_read_only_or_not_there(
    whole_flow: Path, tmp_path: Path, read_only: Path, name: str
) -> None:
    """They print nothing of it, and write what they always write."""
    folder = tmp_path / "flow"
    shutil.copytree(whole_flow, folder, ignore=shutil.ignore_patterns(".features"))
    shutil.rmtree(folder / "studies" / "search")
    for stage in STAGES.values():
        stage.remove_outputs(folder)
    commands = [stage.command for stage in STAGES.values()]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL.format(commands=commands)],
        cwd=folder,
        env=environment(read_only / name),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stderr == ""
    for name_, stage in STAGES.items():
        assert stage.written(folder) == stage.written(whole_flow), name_


def test_dvc_runs_the_stages_with_a_home_that_is_read_only(
    tiny_bert: Path, tmp_path: Path, read_only: Path
) -> None:
    project = make_dvc_flow(tmp_path / "flow", tiny_bert)
    project.environment = {
        **environment(read_only),
        "PATH": project.environment["PATH"],
        "PYTHONPATH": project.environment["PYTHONPATH"],
        "DVC_SITE_CACHE_DIR": project.environment["DVC_SITE_CACHE_DIR"],
    }
    done = ran(project.dvc("repro", "extract@small"))
    assert sorted(done) == ["encoder@tiny", "extract@small", "prepare@small"]
