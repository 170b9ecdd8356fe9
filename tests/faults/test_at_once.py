"""``gc``, ``verify`` and ``extract`` at once on one store: all end well, and none harms another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from flow import Stage
from interrupted import PauseAt, Running, begin
from tracked import digests

from pipeline.features.hash_cache import HashCache
from pipeline.store.local import all_stores

ROUNDS = 5


@pytest.fixture
def flow(whole_flow: Path, tmp_path: Path) -> Path:
    """A copy to work in, with an empty store."""
    folder = tmp_path / "flow"
    shutil.copytree(whole_flow, folder, ignore=shutil.ignore_patterns(".features", "features"))
    return folder


def extraction(out: str) -> Stage:
    """The extraction of the flow into a place of its own."""
    command = ("extract", "small", "--texts", "data/text/small", "--encoder", "data/encoders/tiny")
    return Stage((*command, "--out", out, "--report", f"{out}.json"), (out,))


def test_gc_verify_and_extract_at_once_all_end_well_and_nothing_is_lost(
    flow: Path, whole_flow: Path
) -> None:
    """Round after round, half of what is stored is in use and the other half may go.

    What is extracted is the same to the byte, ``verify`` finds no damage where there is none, and
    ``gc`` removes nothing that somebody has in use.
    """
    expected = digests(whole_flow / "data" / "features" / "small")
    kept = extraction("data/features/kept")
    kept.begin(flow).end().well()
    for number in range(ROUNDS):
        out = f"data/features/round{number}"
        shutil.rmtree(flow / "data" / "features" / "kept")  # the store alone has them now
        started = {
            "gc": begin(flow, "store", "gc"),
            "verify": begin(flow, "store", "verify"),
            "extract": extraction(out).begin(flow),
            "again": kept.begin(flow),
            "verify again": begin(flow, "store", "verify"),
        }
        ended = {name: running.end() for name, running in started.items()}
        for name, end in ended.items():
            assert end.code == 0, (number, name, end)
        assert digests(flow / out) == digests(flow / "data" / "features" / "kept") == expected
        (store,) = all_stores(flow / ".features", HashCache())
        for shard, file in store.files():
            assert store.holds(shard, file)
        shutil.rmtree(flow / out)
    assert list((flow / ".features").rglob("*.tmp")) == []


@pytest.mark.parametrize("moment", ["expect_store", "total_size", "find_damage"])
def test_files_that_gc_removes_while_verify_looks_are_no_damage(flow: Path, moment: str) -> None:
    """Before, while and after it lists the files of the store."""
    extraction("data/features/small").begin(flow).end().well()
    shutil.rmtree(flow / "data" / "features")
    pause = PauseAt(f"stages.store.{moment}")
    verify = begin(flow, "store", "verify", faults=[pause])
    verify.reaches(pause)
    gc = begin(flow, "store", "gc")
    ends_or_waits(gc)
    pause.release()
    assert verify.end().well().stdout.startswith("intact: ")
    assert " MB removed" in gc.end().well().stdout


def test_a_row_that_is_extracted_while_verify_looks_is_no_damage(flow: Path) -> None:
    extraction("data/features/first").begin(flow).end().well()
    pause = PauseAt("stages.store.find_damage")
    verify = begin(flow, "store", "verify", faults=[pause])
    verify.reaches(pause)
    second = extraction("data/features/second").begin(flow)
    ends_or_waits(second)
    pause.release()
    assert verify.end().well().stdout.startswith("intact: ")
    second.end().well()
    assert digests(flow / "data/features/first") == digests(flow / "data/features/second")


def test_gc_waits_for_an_extraction_and_takes_nothing_of_it(flow: Path, whole_flow: Path) -> None:
    """Its shards are stored, and no folder links to them yet."""
    pause = PauseAt("pipeline.extraction.run.assemble")
    extract = extraction("data/features/small").begin(flow, faults=[pause])
    extract.reaches(pause)
    gc = begin(flow, "store", "gc")
    gc.says(f"waiting for features small (process {extract.pid} on ")
    pause.release()
    extract.end().well()
    assert "0 files, 0.0 MB removed" in gc.end().well().stdout
    assert digests(flow / "data/features/small") == digests(whole_flow / "data/features/small")


def ends_or_waits(running: Running) -> None:
    """Waits until a process has ended, or has said for whom it waits."""
    try:
        running.says("waiting for ")
    except AssertionError:
        running.process.join(5)
        assert not running.process.is_alive()
