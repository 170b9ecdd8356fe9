"""Files that were made to harm, given to a command: one line, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.testing import CliRunner, Result
from import_graph import ROOT

from pipeline.core.printing import printable

SECONDS = 10
"""Time of a processor that a command may take."""

_PATIENCE = 6
"""Times as much may pass where other tests run beside it."""

MEMORY = 2 << 30
"""Bytes of memory that a command may take."""


@contextmanager
def at_most(seconds: int = SECONDS) -> Iterator[None]:
    """Fails where the block takes so many seconds of a processor, or waits for ever."""

    def end(number: int, frame: FrameType | None) -> None:
        # No TimeoutError, which is one of the system's, and would be taken for that.
        raise AssertionError(f"still running after {_PATIENCE * seconds} seconds")

    before, begin = signal.signal(signal.SIGALRM, end), time.process_time()
    signal.alarm(_PATIENCE * seconds)
    try:
        yield
        assert time.process_time() - begin < seconds
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def snapshot(folder: Path) -> dict[str, str]:
    """What is below a folder: links by their targets, files by size and time, others by kind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        what = f"{facts.st_size} {facts.st_mtime_ns}" if stat.S_ISREG(facts.st_mode) else ""
        target = path.readlink() if path.is_symlink() else ""
        found[str(path)] = f"{stat.S_IFMT(facts.st_mode)} {what} {target}"
    return found


def refused(
    command: click.Command, *arguments: str, folder: Path, answers: str | None = None
) -> list[str]:
    """Runs a command in this process; it must refuse in time, and leave the folder as it was.

    Returns:
        What it printed on standard error.
    """
    before = snapshot(folder)
    with at_most():
        result = CliRunner().invoke(command, arguments, input=answers)
    return _lines(result, before, folder)


def _lines(result: Result, before: dict[str, str], folder: Path) -> list[str]:
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    lines = result.stderr.removesuffix("\n").split("\n")
    assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True]
    assert all(len(line) < 4000 and line == printable(line) for line in lines)
    assert snapshot(folder) == before
    return lines


def refused_in_little_memory(module: str, *arguments: str, folder: Path) -> list[str]:
    """As ``refused``, in a process of its own with 2 GB."""
    before = snapshot(folder)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr[-500:]
    lines = done.stderr.splitlines()
    assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True]
    assert snapshot(folder) == before
    return lines


CORPUS: dict[str, Any] = {
    "path": "data/raw/corpus",
    "format": "jsonl",
    "id": None,
    "text": "text",
    "labels": {"topic": "class"},
    "split": {"train": 0.8, "dev": 0.1, "test": 0.1},
    "seed": 1,
}

PREPARE = ("hostile", "--texts", "text", "--labels", "labels", "--report", "report.json")


def write_params(folder: Path, **changes: Any) -> Path:
    """Writes a ``params.yaml`` with a corpus ``hostile``; returns the path of its raw file."""
    row = {name: value for name, value in {**CORPUS, **changes}.items() if value is not ...}
    (folder / "data" / "raw").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(json.dumps({"corpora": {"hostile": row}}), "utf-8")
    return folder / str(row["path"])


Special = Callable[[Path], object]


def bind_socket(path: Path) -> None:
    """Makes a socket."""
    import socket

    here = Path.cwd()
    os.chdir(path.parent)  # its name may have a hundred characters
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


SPECIAL: dict[str, tuple[Special, str]] = {
    "pipe": (os.mkfifo, "is a pipe, not a file"),
    "socket": (bind_socket, "is a socket, not a file|No such device"),
    "urandom": (lambda path: path.symlink_to("/dev/urandom"), "is a device, not a file"),
    "zero": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "folder": (lambda path: path.mkdir(), "is no file|is a folder, not a file"),
    "nothing": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "itself": (lambda path: path.symlink_to(path), "no such file|symbolic links"),
}
"""Ways to make what is no regular file, and what is said of it."""
