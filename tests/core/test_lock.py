"""One writer per store; a dead one blocks nobody."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from pipeline.core.errors import MachineError
from pipeline.core.lock import no_writer, only_writer
from pipeline.core.reading import SpecialFileError

Holding = Callable[[Path, str], AbstractContextManager[None]]
SPAWN = multiprocessing.get_context("spawn")


def hold(root: Path, held: Event, release: Event) -> None:
    with only_writer(root, "features news"):
        held.set()
        release.wait(30)


class _Release(logging.Handler):
    """Lets the holder end as soon as somebody says to wait for it."""

    def __init__(self, release: Event) -> None:
        super().__init__()
        self._release = release

    def emit(self, _: logging.LogRecord) -> None:
        self._release.set()


def test_the_second_waits_and_names_the_holder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held, release = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(tmp_path, held, release))
    holder.start()
    assert held.wait(30)
    handler = _Release(release)
    logging.getLogger("pipeline").addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "pipeline"), only_writer(tmp_path, "features tweets"):
            pass
    finally:
        logging.getLogger("pipeline").removeHandler(handler)
    holder.join(30)
    (message,) = caplog.messages
    assert f"waiting for features news (process {holder.pid} on " in message
    assert str(tmp_path) in message


def test_a_killed_holder_blocks_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held, release = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(tmp_path, held, release))
    holder.start()
    assert held.wait(30)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(30)
    begin = time.monotonic()
    with caplog.at_level(logging.INFO, "pipeline"), only_writer(tmp_path, "features tweets"):
        assert time.monotonic() - begin < 60
    assert caplog.messages == []


def test_it_is_let_go_after_an_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError), only_writer(tmp_path, "one"):
        raise KeyError
    with caplog.at_level(logging.INFO, "pipeline"), only_writer(tmp_path, "two"):
        pass
    assert caplog.messages == []


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with caplog.at_level(logging.INFO, "pipeline"), only_writer(tmp_path, "features tweets"):
        pass
    (message,) = caplog.messages
    assert "knows no locks" in message


def test_a_lock_of_another_user_can_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be read only; root may do anything, so the refusal is made here."""
    with only_writer(tmp_path, "theirs"):
        pass
    refuse_writing(monkeypatch, errno.EACCES)
    with only_writer(tmp_path, "ours"):
        pass


def refuse_writing(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    original = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise OSError(code, os.strerror(code), path)
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_lock_that_cannot_be_made_is_told_to_writers_and_not_to_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refuse_writing(monkeypatch, code)
    with pytest.raises(OSError, match="lock") as raised, only_writer(tmp_path, "ours"):
        pass
    assert raised.value.errno == code
    with no_writer(tmp_path, "ours"), no_writer(tmp_path / "nowhere", "ours"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_may_be_read_alone_and_is_on_nfs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(MachineError, match="lock: is another user's"), only_writer(tmp_path, "a"):
        pass


def message_of_a_waiting_one(
    root: Path, note: str, caplog: pytest.LogCaptureFixture, *, shared: bool = False
) -> str:
    """What is said while somebody holds the lock who could not sign it; the note is older."""
    with only_writer(root, "earlier"):
        pass
    (root / "lock").write_text(note, encoding="utf-8")
    descriptor = os.open(root / "lock", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    handler = _Close(descriptor)
    logging.getLogger("pipeline").addHandler(handler)
    holding = no_writer if shared else only_writer
    try:
        with caplog.at_level(logging.INFO, "pipeline"), holding(root, "features tweets"):
            pass
    finally:
        logging.getLogger("pipeline").removeHandler(handler)
    (message,) = caplog.messages
    return message


class _Close(logging.Handler):
    """Lets the lock go as soon as somebody says to wait for it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, _: logging.LogRecord) -> None:
        os.close(self._descriptor)


def signed(**changes: object) -> str:
    note = {
        "purpose": "features news",
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": "10:00:00",
    }
    return json.dumps(note | changes)


@pytest.fixture(scope="module")
def dead() -> int:
    """A process that was."""
    process = SPAWN.Process(target=os.getpid)
    process.start()
    process.join(30)
    assert process.pid is not None
    return process.pid


@pytest.mark.parametrize("shared", [False, True])
def test_a_note_of_a_dead_process_names_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dead: int, shared: bool
) -> None:
    message = message_of_a_waiting_one(tmp_path, signed(process=dead), caplog, shared=shared)
    assert message == f"waiting for another process, which has the lock of {tmp_path}"


def test_a_note_of_a_living_process_names_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    message = message_of_a_waiting_one(tmp_path, signed(), caplog)
    assert message.startswith(f"waiting for features news (process {os.getpid()} on ")


def test_a_note_of_another_host_is_told_as_what_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    message = message_of_a_waiting_one(tmp_path, signed(host="elsewhere"), caplog)
    assert "another process, the last known of which is features news" in message


@pytest.mark.parametrize(
    "note",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        "x" * 1_000_000,
        signed(process="1"),
        signed(process=-1),
        signed(process=10**30),
        signed(purpose=["x"]),
        signed(more=1),
    ],
    ids=range(10),
)
def test_an_odd_note_names_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, note: str
) -> None:
    assert "waiting for another process, " in message_of_a_waiting_one(tmp_path, note, caplog)


def test_a_holder_takes_its_note_along(tmp_path: Path) -> None:
    with only_writer(tmp_path, "one"):
        assert "one" in (tmp_path / "lock").read_text(encoding="utf-8")
    assert (tmp_path / "lock").read_bytes() == b""


def test_readers_share_the_lock_and_keep_writers_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held, release = SPAWN.Event(), SPAWN.Event()
    tmp_path.mkdir(exist_ok=True)
    holder = SPAWN.Process(target=read, args=(tmp_path, held, release))
    holder.start()
    assert held.wait(30)
    handler = _Release(release)
    with caplog.at_level(logging.INFO, "pipeline"):
        with no_writer(tmp_path, "store verify"):
            pass
        assert caplog.messages == []
        logging.getLogger("pipeline").addHandler(handler)
        try:
            with only_writer(tmp_path, "features tweets"):
                pass
        finally:
            logging.getLogger("pipeline").removeHandler(handler)
    holder.join(30)
    (message,) = caplog.messages
    assert message.startswith("waiting for ")


def read(root: Path, held: Event, release: Event) -> None:
    with no_writer(root, "store verify"):
        held.set()
        release.wait(30)


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "folder", "device"])
@pytest.mark.parametrize("holding", [only_writer, no_writer])
def test_a_lock_that_is_no_file_is_not_opened(tmp_path: Path, kind: str, holding: Holding) -> None:
    other, root = tmp_path / "other", tmp_path / "store"
    root.mkdir()
    other.write_text("another user's", encoding="utf-8")
    if kind == "pipe":
        os.mkfifo(root / "lock")
    elif kind == "folder":
        (root / "lock").mkdir()
    else:
        target = {"link": other, "device": Path("/dev/zero")}.get(kind, tmp_path / "new")
        (root / "lock").symlink_to(target)
    with pytest.raises(SpecialFileError), holding(root, "mine"):
        pass
    assert other.read_text(encoding="utf-8") == "another user's"
    assert not (tmp_path / "new").exists()
