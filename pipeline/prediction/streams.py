"""Streams that predictions come from and go to: files, pipes and the terminal."""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from pipeline.core.errors import DataError, MachineError

_PATIENCE = 10.0
"""Seconds in which somebody must begin to write to a pipe."""


def open_source(path: Path) -> BinaryIO:
    """Opens a file of texts, or a pipe that somebody writes to, as ``<(zcat texts.gz)`` is.

    Raises:
        DataError: it cannot be read, or is a pipe to which nobody writes.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            with _no_longer_than(_PATIENCE, path):
                return path.open("rb")
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


class StandardOutput:
    """Standard output for lines of UTF-8, whatever encoding the terminal has."""

    def __init__(self) -> None:
        self._stream = sys.stdout.buffer

    def write(self, data: bytes) -> None:
        """Write some bytes.

        Raises:
            MachineError: they cannot be written; what was written before stays.
            BrokenPipeError: nobody reads them any more.
        """
        with self._told():
            self._stream.write(data)

    def flush(self) -> None:
        """Write what is still held back; raises as ``write``."""
        with self._told():
            self._stream.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Python writes what is left as it ends, and would tell a second time that it cannot.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if error.errno == errno.EPIPE:
                raise
            raise MachineError(
                f"standard output: {error.strerror}; what is there ends where that happened, as a "
                "rule amid a line: remove it, mend the cause, and run it again, best with --out"
            ) from None


@contextmanager
def _no_longer_than(seconds: float, path: Path) -> Iterator[None]:
    """Ends the wait for the other end of a pipe."""

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise DataError(f"{path}: is a pipe, and in {seconds:.0f} s nobody began to write to it")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
