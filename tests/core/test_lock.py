"""One writer per store; a dead one blocks nobody."""

from __future__ import annotations

import errno
import fcntl
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
    with only_writer(root, "features news", str):
        held.set()
        release.wait(30)


def test_the_second_waits_and_names_the_holder(tmp_path: Path) -> None:
    held, release = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(tmp_path, held, release))
    holder.start()
    assert held.wait(30)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        release.set()  # the holder ends while this process waits

    with only_writer(tmp_path, "features tweets", say):
        pass
    holder.join(30)
    assert len(said) == 1
    assert f"waiting for features news (process {holder.pid} on " in said[0]
    assert str(tmp_path) in said[0]


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    held, release = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(tmp_path, held, release))
    holder.start()
    assert held.wait(30)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(30)
    said: list[str] = []
    begin = time.monotonic()
    with only_writer(tmp_path, "features tweets", said.append):
        assert time.monotonic() - begin < 5
    assert said == []


def test_it_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_writer(tmp_path, "one", str):
        raise KeyError
    said: list[str] = []
    with only_writer(tmp_path, "two", said.append):
        pass
    assert said == []


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    said: list[str] = []
    with only_writer(tmp_path, "features tweets", said.append):
        pass
    assert len(said) == 1
    assert "knows no locks" in said[0]


def test_a_lock_of_another_user_can_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be read only; root may do anything, so the refusal is made here."""
    with only_writer(tmp_path, "theirs", str):
        pass
    original = os.open

    def refuse_writing(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse_writing)
    with only_writer(tmp_path, "ours", str):
        pass
