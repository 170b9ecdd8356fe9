"""One writer per store: a second extraction waits, and says for whom."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)

LOCK = "lock"
_POLL_SECONDS = 0.2
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)


@contextmanager
def only_writer(root: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of a store while the block runs.

    For whom this process waits is logged once, and so is a file system without locks. The system
    lets go of it when its holder ends, however it ends: a dead holder blocks nobody.

    Args:
        root: the store.
        purpose: what the holder does, for those who wait.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = _open(root / LOCK)
    try:
        waiting = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    logger.info(
                        "waiting for %s, which is writing to %s", _holder(root / LOCK), root
                    )
                    waiting = True
                time.sleep(_POLL_SECONDS)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                logger.info(
                    "%s: its file system knows no locks; keep to one extraction at a time", root
                )
                break
        _sign(descriptor, purpose)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Opens the lock, for reading alone where it is another user's: that is enough to hold it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def _sign(descriptor: int, purpose: str) -> None:
    note = {
        "purpose": purpose,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%H:%M:%S"),
    }
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return f"{note['purpose']} (process {note['process']} on {note['host']}, {note['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has the lock and has not signed yet
