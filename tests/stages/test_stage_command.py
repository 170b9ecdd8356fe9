from __future__ import annotations

import ast
import errno
import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from import_graph import ROOT
from tqdm import tqdm

from pipeline.core.command import LongCommand, StageCommand
from pipeline.core.errors import DataError
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


@click.command(cls=LongCommand)
@click.argument("count", type=int)
def talkative(count: int) -> None:
    for number in range(count):
        click.echo(f"line {number}")
        click.echo(f"warning {number}", err=True)
    with tqdm(total=3, disable=None, mininterval=0) as bar:
        bar.update(3)
    if not count:
        raise DataError("there is nothing to say")


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_quiet_stage_prints_warnings_and_its_last_line(how: str) -> None:
    loud = CliRunner().invoke(talkative, ["2"])
    assert loud.stdout == "line 0\nline 1\n"
    quiet = (
        CliRunner().invoke(talkative, ["2", "--quiet"])
        if how == "option"
        else CliRunner().invoke(talkative, ["2"], env={"ICEHOUSE_QUIET": "1"})
    )
    assert (quiet.exit_code, quiet.stdout) == (0, "line 1\n")
    assert quiet.stderr == loud.stderr == "warning 0\nwarning 1\n"


def test_a_quiet_stage_prints_its_error() -> None:
    result = CliRunner().invoke(talkative, ["0", "--quiet"])
    assert (result.exit_code, result.output) == (2, "error: there is nothing to say\n")


def test_a_quiet_stage_draws_no_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def drawn(*arguments: str) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", Terminal())
            talkative.main(["1", *arguments], standalone_mode=False)
            return str(sys.stderr.getvalue())  # type: ignore[attr-defined]

    assert "100%" in drawn()
    assert drawn("--quiet") == "warning 0\n"


def test_every_stage_of_the_pipeline_can_be_quiet() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    for name in sorted(set(re.findall(r"python -m (stages\.\w+)", text))):
        assert isinstance(importlib.import_module(name).main, LongCommand), name


def test_bars_are_drawn_on_terminals_only() -> None:
    """`disable=None` is how tqdm is told so: logs stay plain."""
    calls = [
        (path, node)
        for folder in ("pipeline", "stages")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"tqdm", "tqdm.tqdm", "trange"}
    ]
    assert len(calls) >= 5
    for path, call in calls:
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        assert options.get("disable") == "None", f"{path}:{call.lineno}"


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
