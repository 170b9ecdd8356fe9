"""A clock that is wrong, or jumps: neither what is believed nor what is written depends on it.

Clocks are set in the processes of the stages; times of files are set as a wrong clock would.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from flow import STAGES
from interrupted import run
from tracked import digests, flip

from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.reader import open_features
from pipeline.store.local import LocalStore, all_stores

DAY = 86_400.0
YEAR = 365 * DAY


@dataclass(frozen=True)
class Clock:
    """A clock that starts so many seconds off, and goes so far wrong at every look at it."""

    start: float
    step: float = 0.0

    def __call__(self) -> None:
        """Puts it in the place of the system's; what measures durations is another clock."""
        now, strftime, looks = time.time, time.strftime, count()

        def wrong() -> float:
            return now() + self.start + next(looks) * self.step

        def local(form: str, when: Any = None) -> str:
            return strftime(form, time.localtime(wrong()) if when is None else when)

        class Datetime(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
                return cls.fromtimestamp(wrong(), tz)

        time.time = wrong
        time.time_ns = lambda: int(wrong() * 1e9)
        time.strftime = local
        dt.datetime = Datetime  # type: ignore[misc]


@pytest.fixture
def flow(whole_flow: Path, tmp_path: Path) -> Path:
    """A copy to work in, with times of files as they were."""
    return shutil.copytree(whole_flow, tmp_path / "flow")


def set_times(folder: Path, seconds: float) -> None:
    """Moves the times of all files, as if they had been written by another clock."""
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            changed = status.st_mtime_ns + int(seconds * 1e9)
            os.utime(path, ns=(changed, changed))


def store_of(flow: Path, cache: HashCache | None = None) -> LocalStore:
    (store,) = all_stores(flow / ".features", cache or HashCache(flow / ".features" / CACHE_FILE))
    return store


@pytest.mark.parametrize("clock", [Clock(-YEAR, -DAY), Clock(YEAR, DAY)])
def test_what_stages_write_is_the_same_whatever_the_clock_says(
    whole_flow: Path, flow: Path, clock: Clock
) -> None:
    """Also while it jumps, at every look at it: no output has a time in it."""
    for name, stage in STAGES.items():
        stage.remove_outputs(flow)
        if name == "extract":
            shutil.rmtree(flow / ".features")
        if name == "sweep":
            shutil.rmtree(flow / "studies" / "search")
        said = stage.begin(flow, faults=[clock]).end().well()
        assert stage.written(flow) == stage.written(whole_flow), name
        assert " -" not in said.stdout.partition("done in")[2], "a duration below zero"


@pytest.mark.parametrize("seconds", [-YEAR, -0.001, 0.001, YEAR])
def test_a_digest_is_not_believed_of_a_file_that_changed_whatever_time_it_has(
    flow: Path, seconds: float
) -> None:
    """Before or after the digest was noted, as the clock went back or forth in between."""
    store = store_of(flow)
    shard, file = next(iter(store.files()))
    assert store.holds(shard, file)
    path = store.path(shard, file)
    before = path.stat().st_mtime_ns
    flip(path)
    changed = before + int(seconds * 1e9)
    os.utime(path, ns=(changed, changed))
    assert not store_of(flow).holds(shard, file)
    verify = run(flow, "store", "verify")
    assert verify.code == 2
    assert f"damaged: {path}: is damaged" in verify.stdout


def test_verify_finds_a_file_that_changed_and_kept_its_time(flow: Path) -> None:
    """The one thing that the memory of digests cannot see: verify therefore trusts no memory."""
    store = store_of(flow)
    shard, file = next(iter(store.files()))
    assert store.holds(shard, file)
    path = store.path(shard, file)
    before = path.stat().st_mtime_ns
    flip(path)
    os.utime(path, ns=(before, before))
    assert store_of(flow).holds(shard, file)
    verify = run(flow, "store", "verify")
    assert verify.code == 2
    assert f"damaged: {path}: is damaged" in verify.stdout


@pytest.mark.parametrize("seconds", [-YEAR, YEAR])
def test_files_of_another_time_are_read_as_any_others(
    whole_flow: Path, flow: Path, seconds: float
) -> None:
    """A machine whose clock was ahead wrote the store; it is used, and not computed again."""
    for name in ("encoder", "prepare", "extract", "train"):
        set_times(flow, seconds)
        said = STAGES[name].begin(flow).end().well().stdout
        assert STAGES[name].written(flow) == STAGES[name].written(whole_flow)
        if name == "extract":
            assert "80 rows stored, 0 rows (0 tokens) to compute" in said
    open_features(flow / "data" / "features" / "small").verify()
    assert run(flow, "store", "verify").well().stdout.startswith("intact: small")


def test_the_clock_going_back_between_two_extractions_makes_nothing_be_removed(
    flow: Path, whole_flow: Path
) -> None:
    """What is temporary is told by its name and the lock, and not by its age."""
    shutil.rmtree(flow / ".features")
    STAGES["extract"].begin(flow, faults=[Clock(YEAR)]).end().well()
    set_times(flow / ".features", YEAR)
    stored = digests_of(store_of(flow))
    STAGES["extract"].begin(flow, faults=[Clock(-YEAR)]).end().well()
    run(flow, "store", "gc", faults=[Clock(-YEAR)]).well()
    assert digests_of(store_of(flow, HashCache())) == stored
    assert digests(flow / "data" / "features") == digests(whole_flow / "data" / "features")


def digests_of(store: LocalStore) -> dict[tuple[str, str], str | None]:
    """The digest of every file; fails if one is damaged."""
    found = {}
    for shard, file in store.files():
        assert store.holds(shard, file)
        found[shard, file] = store.digest(shard, file)
    return found
