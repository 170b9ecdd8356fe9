from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from import_graph import ROOT

from pipeline.errors import DataError
from stages.command import StageCommand
from stages.samples import main as samples


def test_a_users_mistake_is_one_line_and_exit_code_2() -> None:
    @click.command(cls=StageCommand)
    def stage() -> None:
        raise DataError("data.jsonl:3: not JSON")

    result = CliRunner().invoke(stage)
    assert result.exit_code == 2
    assert result.output == "error: data.jsonl:3: not JSON\n"


@pytest.mark.parametrize(
    ("code", "advice"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "give this user")]
)
def test_what_the_system_refuses_is_one_line_and_exit_code_2(code: int, advice: str) -> None:
    @click.command(cls=StageCommand)
    def stage() -> None:
        raise OSError(code, os.strerror(code), "place")

    result = CliRunner().invoke(stage)
    assert result.exit_code == 2
    assert result.output.startswith(f"error: place: {os.strerror(code)}; ")
    assert advice in result.output
    assert result.output.count("\n") == 1


def test_other_errors_of_the_system_are_bugs() -> None:
    @click.command(cls=StageCommand)
    def stage() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "place")

    assert isinstance(CliRunner().invoke(stage).exception, FileNotFoundError)


def test_a_bug_keeps_its_traceback() -> None:
    @click.command(cls=StageCommand)
    def stage() -> None:
        raise KeyError("bug")

    assert isinstance(CliRunner().invoke(stage).exception, KeyError)


def test_samples_are_written_once_and_edits_kept(tmp_path: Path) -> None:
    runner = CliRunner()
    assert "wrote" in runner.invoke(samples, ["--out", str(tmp_path)]).output
    edited = tmp_path / "tweets.conll"
    edited.write_text("mine\tO\n", encoding="utf-8")
    assert runner.invoke(samples, ["--out", str(tmp_path)]).output == ""
    assert edited.read_text(encoding="utf-8") == "mine\tO\n"


def test_a_foreign_environment_is_told_of_the_projects_own(tmp_path: Path) -> None:
    """An interpreter without the installed project, as a system Python is."""
    base = Path(sys.base_prefix) / "bin" / "python3"
    if not base.exists():
        pytest.skip("this Python has no base interpreter to try")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    result = subprocess.run(
        [base, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import stages"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert ".venv" in result.stderr
