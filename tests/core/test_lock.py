"""One writer per store; a dead one blocks nobody."""

from __future__ import annotations

import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from pipeline.core.lock import only_writer

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
        assert time.monotonic() - begin < 5
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
    original = os.open

    def refuse_writing(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse_writing)
    with only_writer(tmp_path, "ours"):
        pass
