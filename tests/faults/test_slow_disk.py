"""A disk on which every step takes its time: what is there is whole at every moment in between."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flow import STAGES, Stage
from interrupted import PauseAt, Running
from tracked import digests

from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.store.local import all_stores


@dataclass(frozen=True)
class SlowDisk:
    """Writing in two halves, syncing, linking and renaming, with a pause at each."""

    seconds: float

    def __call__(self) -> None:
        """Puts slow functions in the places of fast ones."""
        for name in ("fsync", "replace", "link", "chmod", "unlink", "rmdir"):
            setattr(os, name, self._slow(getattr(os, name)))

        def in_halves(path: Path, data: Any) -> int:
            half = len(data) // 2
            with path.open("wb") as file:
                file.write(data[:half])
                file.flush()
                time.sleep(self.seconds)
                file.write(data[half:])
            return len(data)

        Path.write_bytes = in_halves  # type: ignore[method-assign]

    def _slow(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*arguments: Any, **options: Any) -> Any:
            time.sleep(self.seconds)
            done = function(*arguments, **options)
            time.sleep(self.seconds)
            return done

        return slow


@pytest.fixture
def flow(whole_flow: Path, tmp_path: Path) -> Path:
    """A copy to work in, without features."""
    folder = tmp_path / "flow"
    shutil.copytree(whole_flow, folder, ignore=shutil.ignore_patterns(".features", "features"))
    return folder


def while_it_runs(running: Running) -> Iterator[None]:
    """Yields again and again, until the process ends."""
    while running.process.is_alive():
        yield
    running.end().well()
    yield


def test_what_a_slow_extraction_has_written_is_whole_whenever_somebody_looks(
    flow: Path, whole_flow: Path
) -> None:
    extract = STAGES["extract"]
    running = extract.begin(flow, faults=[SlowDisk(0.005)])
    stored = set()
    for _ in while_it_runs(running):
        for store in all_stores(flow / ".features", HashCache()):
            for shard, file in store.files():
                assert store.holds(shard, file), f"{shard}/{file} is there and not whole"
                stored.add((shard, file))
        if (flow / "data" / "features" / "small").exists():
            open_features(flow / "data" / "features" / "small").verify()
    assert len(stored) > 9
    assert extract.written(flow) == extract.written(whole_flow)


@pytest.mark.parametrize("name", ["prepare", "encoder", "train", "probe", "evaluate", "predict"])
def test_outputs_on_a_slow_disk_are_whole_or_not_there(
    flow: Path, whole_flow: Path, name: str
) -> None:
    stage = STAGES[name]
    shutil.copytree(whole_flow / "data" / "features", flow / "data" / "features")
    stage.remove_outputs(flow)
    expected = stage.written(whole_flow)
    running = stage.begin(flow, faults=[SlowDisk(0.01)])
    for _ in while_it_runs(running):
        written = looked_at(stage, flow)
        assert written == {output: expected[output] for output in written}
    assert stage.written(flow) == expected


@pytest.mark.parametrize("name", ["extract", "train", "probe", "layers"])
def test_a_folder_that_is_made_anew_is_the_old_one_or_the_new_one_or_not_there(
    whole_flow: Path, tmp_path: Path, name: str
) -> None:
    """Without DVC nobody has removed the old one; it goes slowly, and never in parts."""
    folder = shutil.copytree(whole_flow, tmp_path / "flow")
    stage = STAGES[name]
    expected = stage.written(whole_flow)
    running = stage.begin(folder, faults=[SlowDisk(0.01)])
    for _ in while_it_runs(running):
        written = looked_at(stage, folder)
        assert written == {output: expected[output] for output in written}
    assert stage.written(folder) == expected
    assert list(folder.rglob("*.tmp")) == []


def looked_at(stage: Stage, folder: Path) -> dict[str, dict[str, str]]:
    """What is there of a stage's outputs, but for those that were replaced while one looked."""
    before = inodes(stage, folder)
    written: dict[str, dict[str, str]] = {}
    with suppress(FileNotFoundError):
        written = stage.written(folder)
    after = inodes(stage, folder)
    return {output: files for output, files in written.items() if before[output] == after[output]}


def inodes(stage: Stage, folder: Path) -> dict[str, int | None]:
    """What tells an output from another one of the same name."""
    found: dict[str, int | None] = dict.fromkeys(stage.outputs)
    for output in stage.outputs:
        with suppress(FileNotFoundError):
            found[output] = (folder / output).stat().st_ino
    return found


def test_two_extractions_on_a_slow_disk_compute_every_row_once(
    flow: Path, whole_flow: Path
) -> None:
    """The second waits for the first, however long that takes, and says for whom."""
    extract = STAGES["extract"]
    pause = PauseAt("pipeline.store.local.LocalStore.put", 3)
    first = extract.begin(flow, faults=[SlowDisk(0.005), pause])
    first.reaches(pause)
    elsewhere = ("data/features/small", "data/features/second")
    command = tuple(elsewhere[1] if part == elsewhere[0] else part for part in extract.command)
    second = Stage(command, elsewhere[1:]).begin(flow, faults=[SlowDisk(0.001)])
    second.says(f"waiting for features small (process {first.pid} on ")
    pause.release()
    first.end().well()
    assert "80 rows stored, 0 rows (0 tokens) to compute" in second.end().well().stdout
    expected = digests(whole_flow / elsewhere[0])
    assert digests(flow / elsewhere[0]) == digests(flow / elsewhere[1]) == expected
