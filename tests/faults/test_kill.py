"""kill -9 at random moments of an extraction: never a damaged shard, and the same bytes in the end.

``ICEHOUSE_KILLS=100 pytest tests/faults`` is the long run; the suite has a short one.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from conftest import random_sentences
from interrupted import start
from pipelines import labelled, prepared
from tracked import digests

from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.store.local import LocalStore, all_stores

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ICEHOUSE_KILLS", "15"))
SENTENCES = random_sentences(250)
# Kills of one extraction before it may end: after a late one every further one is late too.
KILLS_OF_ONE = 4
MOST = 60


def finished(store: LocalStore) -> dict[tuple[str, str], tuple[int, int]]:
    """Inode and time of every finished file; fails if one is damaged."""
    found = {}
    for shard, file in store.files():
        assert store.holds(shard, file), f"{shard}/{file} is damaged"
        status = store.path(shard, file).stat()
        found[shard, file] = (status.st_ino, status.st_mtime_ns)
    return found


def let_run(process: BaseProcess, store: Path, *, files: int, at_most: float) -> None:
    """Waits until the store has so many files more, however slow the machine is."""
    end = time.monotonic() + at_most
    enough = sum(1 for _ in store.rglob("*.h5")) + files
    while process.is_alive() and time.monotonic() < end:
        if sum(1 for _ in store.rglob("*.h5")) >= enough:
            return
        time.sleep(0.001)


@pytest.mark.parametrize("writers", [2, 8])
def test_killed_extractions_leave_nothing_damaged_and_end_in_the_same_bytes(
    tiny_encoder: Path, tmp_path: Path, writers: int
) -> None:
    chance = random.Random(writers)  # noqa: S311
    reference = prepared(tmp_path / "reference", labelled(SENTENCES))
    start(reference, tiny_encoder).join()  # the fork server starts here
    begin = time.monotonic()
    process = start(prepared(tmp_path / "timed", labelled(SENTENCES)), tiny_encoder)
    process.join()
    longest = time.monotonic() - begin
    assert process.exitcode == 0
    expected = digests(reference / "features")
    assert len(expected) > MOST
    kills = cold_runs = 0
    stages_seen = set()
    while kills < KILLS:
        project = prepared(tmp_path / f"run{cold_runs}", labelled(SENTENCES))
        cold_runs += 1
        before: dict[tuple[str, str], tuple[int, int]] = {}
        for tries in itertools.count():
            process = start(project, tiny_encoder, writers=writers)
            if kills == KILLS or tries == KILLS_OF_ONE:
                process.join()
            elif chance.random() < 0.5:
                process.join(chance.uniform(0, longest))
            else:
                let_run(
                    process,
                    project / ".features",
                    files=chance.randrange(1, MOST // 2),
                    at_most=longest,
                )
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                process.join()
            stores = all_stores(project / ".features", HashCache())
            after = finished(stores[0]) if stores else {}
            assert before.items() <= after.items(), "a finished file was made again"
            before = after
            if (project / "features").exists():
                open_features(project / "features").verify()
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            kills += 1
            stages_seen.add("none" if not after else "some" if len(after) < MOST else "most")
        assert digests(project / "features") == expected
        left = [path for path in project.rglob(".*.tmp") if path.name != ".dvc"]
        assert left == [], "half-written files are swept by the next run"
    assert "some" in stages_seen or KILLS < 10
