"""Two users of one machine with one store: what the group's rights allow goes on, and the rest is
one line that says what to do. Never is a file of the other one changed, removed or half-written.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flow import PARAMS, STAGES, write_params
from interrupted import Ended, PauseAt, Running, begin
from tracked import digests

from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.store.local import all_stores

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")

GROUP = 54_000


@dataclass(frozen=True)
class User:
    """A user of the machine, member of one group, who creates files with a umask."""

    number: int
    umask: int

    def __call__(self) -> None:
        """Becomes that user, for good."""
        os.setgroups([])
        os.setgid(GROUP)
        os.setuid(self.number)
        os.umask(self.umask)


class Machine:
    """A flow of each user's own, and one store for both."""

    def __init__(self, folder: Path, umask: int) -> None:
        self.first = User(54_001, umask)
        self.second = User(54_002, umask)
        self.store = folder / "store"
        self._folder = folder

    def home(self, user: User) -> Path:
        """The user's own flow."""
        return self._folder / str(user.number)

    def begin(self, user: User, *command: str, faults: tuple[Any, ...] = ()) -> Running:
        """Starts a command as a user, in the user's own flow."""
        variables = {"FEATURE_STORE": str(self.store), "HOME": str(self.home(user))}
        return begin(self.home(user), *command, faults=[user, *faults], environment=variables)

    def extract(self, user: User) -> Ended:
        """Extracts in the user's flow."""
        return self.begin(user, *STAGES["extract"].command).end()

    def stored(self) -> dict[Path, tuple[int, int, int]]:
        """Owner, inode and time of every file in the store; fails if one is damaged."""
        found = {}
        for store in all_stores(self.store, HashCache()):
            for shard, file in store.files():
                assert store.holds(shard, file), f"{shard}/{file} is damaged"
                status = store.path(shard, file).stat()
                found[store.path(shard, file)] = (
                    status.st_uid,
                    status.st_ino,
                    status.st_mtime_ns,
                )
        return found


@pytest.fixture
def machine(whole_flow: Path) -> Iterator[Callable[[int], Machine]]:
    """Makes a machine whose users have a umask; nothing is stored on it."""
    place = Path(tempfile.mkdtemp())  # that of pytest is for its user alone

    def make(umask: int) -> Machine:
        made = Machine(place, umask)
        place.chmod(0o755)
        ignore = shutil.ignore_patterns(".features", "features")
        for user in (made.first, made.second):
            shutil.copytree(whole_flow, made.home(user), ignore=ignore)
            own(made.home(user), user.number)
        made.store.mkdir()
        own(made.store, made.first.number)
        # Whoever shares a store makes its folder for the group; what is in it follows the umask.
        made.store.chmod(0o2777 & ~umask)
        return made

    yield make
    shutil.rmtree(place)


def own(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, GROUP)


def other_lengths(home: Path, length: int) -> None:
    """Rows of another length, and so another recipe, and other shards."""
    features = {"small": {**PARAMS["features"]["small"], "max_length": length}}
    encoders = {"tiny": {"source": "./bert", "revision": None}}
    write_params(home, {"encoders": encoders, "features": features})


def other_layers(home: Path) -> None:
    """One layer more of the same rows, and so more files in the same folders."""
    features = {"small": {**PARAMS["features"]["small"], "layers": [1, 2, -1]}}
    encoders = {"tiny": {"source": "./bert", "revision": None}}
    write_params(home, {"encoders": encoders, "features": features})


@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_the_second_user_takes_what_the_first_one_has_stored(
    machine: Callable[[int], Machine], whole_flow: Path, umask: int
) -> None:
    made = machine(umask)
    made.extract(made.first).well()
    before = made.stored()
    said = made.extract(made.second).well().stdout
    assert "80 rows stored, 0 rows (0 tokens) to compute" in said
    assert made.stored() == before
    for user in (made.first, made.second):
        features = made.home(user) / "data" / "features" / "small"
        assert digests(features) == digests(whole_flow / "data" / "features" / "small")


@pytest.mark.parametrize("change", [other_layers, lambda home: other_lengths(home, 24)])
def test_with_umask_002_both_users_write_into_one_store(
    machine: Callable[[int], Machine], change: Callable[[Path], None]
) -> None:
    """Each goes on where the other one has ended, in the same folders and in new ones."""
    made = machine(0o002)
    made.extract(made.first).well()
    first = made.stored()
    change(made.home(made.second))
    made.extract(made.second).well()
    both = made.stored()
    assert first.items() < both.items()
    assert {owner for owner, _, _ in both.values()} == {made.first.number, made.second.number}
    change(made.home(made.first))
    assert "0 rows (0 tokens) to compute" in made.extract(made.first).well().stdout
    assert made.stored() == both
    for user in (made.first, made.second):
        open_features(made.home(user) / "data" / "features" / "small").verify()
        made.begin(user, "store", "verify").end().well()
        made.begin(user, "store", "gc").end().well()


@pytest.mark.parametrize("change", [other_layers, lambda home: other_lengths(home, 24)])
def test_with_umask_022_what_the_second_user_may_not_write_is_one_line(
    machine: Callable[[int], Machine], change: Callable[[Path], None]
) -> None:
    """It says what may not be written, and what to do; the first user goes on as before."""
    made = machine(0o022)
    made.extract(made.first).well()
    before = made.stored()
    change(made.home(made.second))
    line = made.extract(made.second).error()
    assert line.startswith(f"error: {made.store}")
    assert "Permission denied; " in line
    assert not (made.home(made.second) / "data" / "features").exists()
    assert list(made.home(made.second).rglob("*.tmp")) == []
    assert made.stored() == before
    change(made.home(made.first))
    made.extract(made.first).well()
    assert before.items() < made.stored().items()


@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_what_a_killed_extraction_of_the_first_user_left_keeps_nobody_away(
    machine: Callable[[int], Machine], umask: int
) -> None:
    """It is swept by whoever may, and is in nobody's way until then."""
    made = machine(umask)
    made.extract(made.first).well()
    other_layers(made.home(made.first))
    pause = PauseAt("pipeline.core.files.sync")
    killed = made.begin(made.first, *STAGES["extract"].command, faults=(pause,))
    killed.reaches(pause)
    killed.signal(signal.SIGKILL)
    killed.end()
    before = made.stored()
    assert list(made.store.rglob("*.tmp")) != []
    made.extract(made.second).well()
    assert made.stored() == before
    made.extract(made.first).well()
    assert list(made.store.rglob("*.tmp")) == []


@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_gc_of_one_user_removes_nothing_that_the_other_one_has_in_use(
    machine: Callable[[int], Machine], umask: int
) -> None:
    """Links tell, or where the system refuses links to another's files, the rights."""
    made = machine(umask)
    made.extract(made.first).well()
    made.extract(made.second).well()
    before = made.stored()
    ended = made.begin(made.second, "store", "gc").end()
    if ended.code:
        ended.error()
    assert made.stored() == before


def test_with_umask_022_gc_of_anothers_store_is_one_line(
    machine: Callable[[int], Machine],
) -> None:
    made = machine(0o022)
    made.extract(made.first).well()
    shutil.rmtree(made.home(made.first) / "data" / "features")
    before = made.stored()
    line = made.begin(made.second, "store", "gc").end().error()
    assert line.startswith(f"error: {made.store}")
    assert "Permission denied; " in line
    assert made.stored() == before


@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_each_waits_for_the_other_and_no_one_for_a_dead_process(
    machine: Callable[[int], Machine], umask: int
) -> None:
    """Where the holder may not sign the lock, it is named as another process, and not as the last
    one that could.
    """
    made = machine(umask)
    command = STAGES["extract"].command
    first = made.begin(made.first, *command)
    first.end().well()
    pause = PauseAt("pipeline.extraction.run.assemble")
    holder = made.begin(made.second, *command, faults=(pause,))
    holder.reaches(pause)
    waiting = made.begin(made.first, *command)
    if umask == 0o002:
        waiting.says(f"waiting for features small (process {holder.pid} on ")
    else:
        waiting.says("waiting for ")
    pause.release()
    holder.end().well()
    assert f"process {first.pid} " not in waiting.end().well().stdout
