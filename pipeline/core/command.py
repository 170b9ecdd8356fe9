"""Commands of all stages: how a problem that the user can act on leaves the program."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import click

from pipeline.core.errors import IcehouseError
from pipeline.core.printing import printable
from pipeline.core.reading import LargeFileError, SpecialFileError

PARAMS_FILE = "params.yaml"

PARAMS = click.option(
    "--params",
    "params_path",
    type=click.Path(path_type=Path),
    default=PARAMS_FILE,
    show_default=True,
    help="The file of parameters.",
)


def complete_rows(table: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Shell completion with the names of a table's rows, for a parameter's ``shell_complete``.

    The table is that of ``--params`` where the line has it. What is wrong with the file, the
    command itself says better than a shell in the middle of a line: nothing is completed then.
    """

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from ruamel.yaml import YAML

        path = Path(ctx.params.get("params_path") or PARAMS_FILE)
        typed = ctx.params.get(parameter.name or "") if parameter.nargs == -1 else None
        rows: list[str] = []
        with suppress(Exception):
            # Safe, in C: a tenth of the time that lines and comments take.
            rows = [str(row) for row in YAML(typ="safe").load(path.read_bytes())[table]]
        return [row for row in rows if row.startswith(incomplete) and row not in (typed or ())]

    return complete


_SPACE = "free some space, and run it again to go on"
_RIGHTS = "give this user the right to it, or choose another place"
_ADVICE = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.EMFILE: "let the process open more files: ulimit -n 4096",
    errno.ENFILE: "close other programs, or run it again later",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
    errno.EISDIR: "there must be a file there, or nothing: move the folder away",
    errno.ENOTDIR: "there must be a folder there, or nothing: move the file away",
    errno.EEXIST: "there must be nothing there: move it away",
    errno.ELOOP: "remove the symbolic link",
    errno.ENAMETOOLONG: "use a shorter name, or a folder nearer to the root",
    errno.EIO: "the disk fails, or its network: see the system's log",
    errno.ESTALE: "the network's disk is gone: mount it again",
}
"""Errors of the system that the user can act on; any other one is a bug."""

_MEMORY = "not enough memory; lower batch_size or max_length, close other programs, or use {more}"


class StageCommand(click.Command):
    """A command that ends in one line and exit code 2 where the user can act on the cause.

    SIGTERM ends it as Ctrl-C does, so that nothing temporary is left; a second Ctrl-C ends it at
    once. What it prints of names and labels is shown and not obeyed, on a terminal of any encoding.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the stage; what the user can act on becomes ``error: <what, where, what to do>``."""
        _allow_any_text()
        try:
            with _ending_in_order():
                return super().invoke(ctx)
        except Exception as error:
            line = explain(error) or _absent(error, ctx.params.values())
            if line is None:
                raise
            echo(f"error: {line}", err=True)
            return ctx.exit(2)


def explain(error: BaseException) -> str | None:
    """The line that tells a user of an error; ``None`` where it is a bug, and not the user's.

    The one place that knows what other libraries raise where the machine is at its end.
    """
    if isinstance(error, IcehouseError):
        return str(error)
    if isinstance(error, OSError) and (line := _of_the_system(error)):
        return line
    # By name: torch, which defines it, takes a second to import, and most commands do without.
    if type(error).__name__ == "OutOfMemoryError" or _GPU_ALLOCATION.search(str(error)):
        return _MEMORY.format(more="a GPU with more") + "; ICEHOUSE_GPU_TOKENS bounds extraction"
    if isinstance(error, MemoryError) or _ALLOCATION.search(str(error)):
        return _MEMORY.format(more="a machine with more")
    return None


def _of_the_system(error: OSError) -> str | None:
    """The line of an error of the system that the user can act on."""
    if isinstance(error, SpecialFileError | LargeFileError):
        return f"{error.filename}: {error.strerror}"
    if error.errno in _ADVICE:
        # Of a rename, the second name is the file that was meant.
        name = error.filename2 or error.filename
        advice = _ADVICE[error.errno]
        if advice == _SPACE and name:  # written by ``core.files``, all or nothing
            advice = f"nothing half-written was left: {advice}"
        return f"{f'{_text(name)}: ' if name else ''}{error.strerror}; {advice}"
    if _NO_TEMPORARY in str(error.strerror):
        return "there is no folder for temporary files; let TMPDIR name one"
    return None


_NO_TEMPORARY = "No usable temporary directory"
"""What ``tempfile`` says where no folder can be written to."""

_ALLOCATION = re.compile(r"can't allocate memory|Unable to allocate .* for an array|std::bad_alloc")
"""What torch's allocator for CPUs and numpy's say where the system has no more memory."""

_GPU_ALLOCATION = re.compile(r"(CUDA error|MPS backend)[: ]+out of memory|_STATUS_ALLOC_FAILED")
"""The same of GPUs, where no class of its own says so."""


def _absent(error: Exception, given: Iterable[object]) -> str | None:
    """The line on a file that is absent, where the command was given its path, or a folder of it.

    Any other file that is not there is a bug.
    """
    if not isinstance(error, FileNotFoundError) or error.filename is None:
        return None
    name = _text(error.filename)
    named = [path for one in given for path in (one if isinstance(one, tuple) else (one,))]
    if any(isinstance(path, Path) and Path(name).is_relative_to(path) for path in named):
        return f"{name}: no such file or folder; look at the path, or run `dvc repro` or `dvc pull`"
    return None


def _text(name: str | bytes | int) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _allow_any_text() -> None:
    """Lets standard output take text that the terminal's encoding has no characters for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(line: str, *, err: bool = False) -> None:
    """Prints a line with text from data in it, which a terminal is not to obey."""
    click.echo(printable(line), err=err)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into exceptions while the block runs, the first time.

    What has begun is then put away as after an error. Only the main thread may say what a signal
    does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, _end)
        for number in _ENDING
        if signal.getsignal(number) is not signal.SIG_IGN  # who started it in the background
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            # After a first signal the next one ends the program, also while it is ending.
            if signal.getsignal(number) is _end:
                signal.signal(number, handler)


_ENDING = (signal.SIGINT, signal.SIGTERM)


def _end(number: int, _: FrameType | None) -> None:
    for either in _ENDING:
        if signal.getsignal(either) is _end:
            signal.signal(either, signal.SIG_DFL)
    if number == signal.SIGTERM:
        sys.exit(128 + number)
    raise KeyboardInterrupt


class LongCommand(StageCommand):
    """A command that may take long: it says what it does, or with ``--quiet`` only how it ended.

    The option has an environment variable, because DVC's commands are in ``dvc.yaml``, and a
    command that is written otherwise is a stage that runs again.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        quiet = click.Option(
            ["--quiet"],
            is_flag=True,
            envvar="ICEHOUSE_QUIET",
            show_envvar=True,
            help="Print the last line and errors; show no progress.",
        )
        self.params.append(quiet)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the stage; see ``StageCommand``."""
        if not ctx.params.pop("quiet"):
            return super().invoke(ctx)
        _allow_any_text()
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(_PlainErrors(sys.stderr)):
            result = super().invoke(ctx)
        for line in said.getvalue().splitlines()[-1:]:
            click.echo(line)
        return result


class _PlainErrors(io.TextIOBase):
    """Standard error that is no terminal: bars are not drawn on it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def echo_logs(prefix: str = "", *, err: bool = False) -> Iterator[None]:
    """Print what the pipeline logs while the block runs, a line per record, on standard output.

    Args:
        prefix: what each line starts with, as ``head news_topic: ``.
        err: whether to print on standard error instead.
    """
    handler = _EchoHandler(prefix, err=err)
    logger = logging.getLogger("pipeline")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _EchoHandler(logging.Handler):
    """Handler that prints messages as click does, to whatever standard output is at the moment."""

    def __init__(self, prefix: str, *, err: bool) -> None:
        super().__init__()
        self._prefix = prefix
        self._err = err

    def emit(self, record: logging.LogRecord) -> None:
        echo(f"{self._prefix}{record.getMessage()}", err=self._err)
