"""kill -9 at random moments of an extraction: never a damaged shard, and the same bytes in the end.

``ICEHOUSE_KILLS=100 pytest tests/faults`` is the long run; the suite has a short one.
"""

from __future__ import annotations

import os
import random
import signal
import time
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


def finished(store: LocalStore) -> dict[tuple[str, str], tuple[int, int]]:
    """Inode and time of every finished file; fails if one is damaged."""
    found = {}
    for shard, file in store.files():
        assert store.holds(shard, file), f"{shard}/{file} is damaged"
        status = store.path(shard, file).stat()
        found[shard, file] = (status.st_ino, status.st_mtime_ns)
    return found


def test_killed_extractions_leave_nothing_damaged_and_end_in_the_same_bytes(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311
    reference = prepared(tmp_path / "reference", labelled(SENTENCES))
    start(reference, tiny_encoder).join()  # the fork server starts here
    begin = time.monotonic()
    process = start(prepared(tmp_path / "timed", labelled(SENTENCES)), tiny_encoder)
    process.join()
    longest = time.monotonic() - begin
    assert process.exitcode == 0
    expected = digests(reference / "features")
    assert len(expected) > 60
    kills = cold_runs = 0
    stages_seen = set()
    while kills < KILLS:
        project = prepared(tmp_path / f"run{cold_runs}", labelled(SENTENCES))
        cold_runs += 1
        before: dict[tuple[str, str], tuple[int, int]] = {}
        while True:
            process = start(project, tiny_encoder)
            if kills < KILLS:
                # Half of the moments fall early, where an interrupted run has made little.
                process.join(chance.uniform(0, longest * chance.choice((0.5, 1.0))))
            else:
                process.join()
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
            stages_seen.add("none" if not after else "some" if len(after) < 60 else "most")
        assert digests(project / "features") == expected
        left = [path for path in project.rglob(".*.tmp") if path.name != ".dvc"]
        assert left == [], "half-written files are swept by the next run"
    assert "some" in stages_seen or KILLS < 10
