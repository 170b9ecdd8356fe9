"""Ctrl-C and SIGTERM at any moment: no traceback, nothing temporary, no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from import_graph import ROOT

STAGE = """
import os, signal, sys, time
from pathlib import Path
import click
from pipeline.core.command import StageCommand
from pipeline.core.files import atomic_directory, atomic_file

@click.command(cls=StageCommand)
def stage():
    try:
        with atomic_directory(Path("folder")) as folder, atomic_file(Path("file")) as file:
            file.write_text("half")
            print("begun", flush=True)
            time.sleep(30)
    finally:
        if "slow" in sys.argv:
            print("ending", flush=True)
            time.sleep(30)

group = click.Group(commands={"stage": stage})
sys.argv[0] = "stage"
arguments = [one for one in sys.argv[1:] if one != "slow"]
(group if "stage" in arguments else stage).main(arguments)
"""


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell's background job ignores Ctrl-C, and so would all that the tests start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def begin(folder: Path, *arguments: str, code: str = STAGE) -> subprocess.Popen[str]:
    """Starts the stage, and waits until it is in the middle of its work."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=10)
    assert "Traceback" not in errors, errors
    return process.returncode, errors


@pytest.mark.parametrize("arguments", [(), ("stage",)], ids=["alone", "in a group"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_signal_ends_a_command_in_order(
    tmp_path: Path, number: int, code: int, arguments: tuple[str, ...]
) -> None:
    process = begin(tmp_path, *arguments)
    process.send_signal(number)
    assert ended(process)[0] == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_command_at_once(tmp_path: Path, first: int) -> None:
    process = begin(tmp_path, "slow")
    process.send_signal(first)
    assert process.stdout is not None
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (-signal.SIGINT, "")


def test_a_command_in_the_background_does_not_hear_ctrl_c(tmp_path: Path) -> None:
    """As shells start one with ``&``, or ``nohup``: they have Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = begin(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


SLOW_IMPORT = "import time\nprint('begun', flush=True)\ntime.sleep(30)\n"


@pytest.mark.parametrize("command", [("stages.results",), ("icehouse", "results")])
def test_ctrl_c_while_a_command_is_imported_is_no_traceback(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """A library that takes long to import, in the place of one that takes a few seconds."""
    (tmp_path / "numpy.py").write_text(SLOW_IMPORT, encoding="utf-8")
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', str(ROOT))}"
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert ended(process) == (-signal.SIGINT, "")


WORKERS = """
import os, time
from pathlib import Path
if __name__ != "__main__":  # a worker, which imports the program first
    Path(f"begun-{os.getpid()}").touch()
    time.sleep(30)
import click
from pipeline.core.command import StageCommand
from pipeline.sweeps.workers import workers

def data():
    raise AssertionError

@click.command(cls=StageCommand)
def stage():
    with workers(2, {}, data, threads=1) as runs:
        import multiprocessing
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        time.sleep(30)

if __name__ == "__main__":
    stage.main([])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_workers_of_a_sweep_end_with_it_and_say_nothing(tmp_path: Path, number: int) -> None:
    """Also while they are importing, which takes seconds."""
    (tmp_path / "program.py").write_text(WORKERS, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    children = [int(word) for word in process.stdout.readline().split()]
    assert len(children) == 2
    until = time.monotonic() + 20
    while len(list(tmp_path.glob("begun-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    if number == signal.SIGINT:  # a terminal sends it to all processes, in any order
        for child in children:
            os.kill(child, number)
        time.sleep(0.5)
    process.send_signal(number)
    code, errors = ended(process)
    assert code == (143 if number == signal.SIGTERM else 1)
    assert errors in ("", "\nAborted!\n", "Aborted!\n")
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
