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

from pydantic import Field

from pipeline.core.errors import MachineError
from pipeline.core.reading import Record, open_descriptor, parse_record, read_bytes

logger = logging.getLogger(__name__)

LOCK = "lock"
_POLL_SECONDS = 0.2
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)
_REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS)
_LONGEST_NOTE = 1 << 12


class _Note(Record):
    """What the holder of a lock writes into it, where it may."""

    purpose: str
    process: int = Field(gt=0, lt=1 << 31)
    host: str
    since: str


@contextmanager
def only_writer(root: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of a store while the block runs.

    For whom this process waits is logged once, and so is a file system without locks. The system
    lets go of it when its holder ends, however it ends: a dead holder blocks nobody.

    Args:
        root: the store.
        purpose: what the holder does, for those who wait.

    Raises:
        MachineError: the lock is another user's, and its file system gives it to nobody else.
        OSError: there is no lock to open: a file in place of the store, a link or a pipe in place
            of the lock.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _holding(root, _open(root / LOCK), purpose):
        yield


@contextmanager
def no_writer(root: Path, purpose: str) -> Iterator[None]:
    """Keep all writers of a store away while the block runs; others may read as well.

    A store that is not there, or that this user may not lock, is read as it is.

    Args:
        root: the store.
        purpose: what is done, for those who wait.

    Raises:
        OSError: as ``only_writer``.
    """
    if not root.is_dir():
        yield
        return
    try:
        descriptor = _open(root / LOCK)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        yield
        return
    with _holding(root, descriptor, purpose, shared=True):
        yield


@contextmanager
def _holding(root: Path, descriptor: int, purpose: str, *, shared: bool = False) -> Iterator[None]:
    signed = False
    try:
        _wait(root, descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        signed = _sign(descriptor, purpose)
        yield
    finally:
        if signed:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)  # the next holder may not be allowed to
        os.close(descriptor)


def _wait(root: Path, descriptor: int, kind: int) -> None:
    waiting = False
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waiting:
                logger.info("waiting for %s, which has the lock of %s", _holder(root / LOCK), root)
                waiting = True
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            if error.errno == errno.EBADF:  # NFS, of a file that was opened for reading
                raise MachineError(
                    f"{root / LOCK}: is another user's, and only who may write it may lock it: "
                    "have its owner run `chmod ug+w` on it"
                ) from None
            if error.errno not in _NO_LOCKS:
                raise
            logger.info(
                "%s: its file system knows no locks; keep to one extraction at a time", root
            )
            return
        else:
            return


def _open(path: Path) -> int:
    """Opens the lock, for reading alone where it is another user's: that is enough to hold it."""
    try:
        return open_descriptor(path, os.O_RDWR | os.O_CREAT, follow=False)
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        try:
            return open_descriptor(path, os.O_RDONLY, follow=False)
        except FileNotFoundError:
            raise error from None  # what is refused is to make it


def _sign(descriptor: int, purpose: str) -> bool:
    note = {
        "purpose": purpose,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%H:%M:%S"),
    }
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)
    except OSError:
        return False
    return True


def _holder(path: Path) -> str:
    """Who signed the lock; a holder that may not write to it has not, and another one may have."""
    try:
        note = parse_record(_Note, read_bytes(path, limit=_LONGEST_NOTE, follow=False))
    except (OSError, ValueError):
        return "another process"  # it has the lock and has not signed yet
    name = f"{note.purpose} (process {note.process} on {note.host}, {note.since})"
    if note.host != socket.gethostname():
        return f"another process, the last known of which is {name}"
    return name if _lives(note.process) else "another process"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True
