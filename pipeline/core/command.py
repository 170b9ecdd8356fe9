"""Commands of all stages: how a problem that the user can act on leaves the program."""

from __future__ import annotations

import errno
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TextIO

import click

from pipeline.core.errors import IcehouseError

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


_SPACE = "nothing half-written was left: free some space, and run it again to go on"
_RIGHTS = "give this user the right to it, or choose another place"
_ADVICE = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EACCES: _RIGHTS,
    errno.EROFS: _RIGHTS,
}
"""Errors of the system that the user can mend; any other one is a bug."""


class StageCommand(click.Command):
    """A command that ends in one line and exit code 2 where the user can mend the cause."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the stage; errors of the pipeline become ``error: <what, where, what to do>``."""
        try:
            return super().invoke(ctx)
        except IcehouseError as error:
            click.echo(f"error: {error}", err=True)
            return ctx.exit(2)
        except OSError as error:
            if error.errno not in _ADVICE:
                raise
            place = f"{error.filename}: " if error.filename else ""
            click.echo(f"error: {place}{error.strerror}; {_ADVICE[error.errno]}", err=True)
            return ctx.exit(2)


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
        click.echo(f"{self._prefix}{record.getMessage()}", err=self._err)
