"""A disk that is full, in every command: one line that says so, and nothing lost or half-written.

However little space there is, an output is whole or not there, and no temporary file stays. With
space again the next run goes on, and its outputs are those of a run that was never disturbed.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from disks import small_disk
from dvc_project import computed
from flow import STAGES, Stage, make_dvc_flow
from interrupted import Ended, FileLimit, Running, begin
from tracked import digests

from pipeline.sweeps.results import read_study

pytestmark = pytest.mark.slow

SPACES = (0, 1, 2, 3, 5, 9, 17, 33, 65, 129, 257, 513, 1025)
"""Pages of 4 KiB that are free: too few, until they are enough."""


def without_outputs(whole: Path, folder: Path, name: str) -> Path:
    """A copy of the flow that lacks what one stage writes, and what is computed from that."""
    shutil.copytree(whole, folder)
    STAGES[name].remove_outputs(folder)
    if name == "extract":
        shutil.rmtree(folder / ".features")
    if name == "sweep":
        shutil.rmtree(folder / "studies" / "search")
    return folder


def others(folder: Path, stage: Stage) -> dict[str, str]:
    """Digests of everything in the flow but what a stage writes, and the store."""
    mine = (*stage.outputs, ".features", "studies/search/", "data/features/ballast")
    return {name: value for name, value in digests(folder).items() if not name.startswith(mine)}


def nothing_is_half_written(name: str, folder: Path, whole: Path) -> None:
    stage = STAGES[name]
    expected = stage.written(whole)
    if name == "sweep":  # it keeps the trials that have ended, and goes on after them
        kept, all_of_it = (
            read_study(folder / "studies/search"),
            read_study(whole / "studies/search"),
        )
        assert all_of_it is not None
        assert kept is None or kept.trials == all_of_it.trials[: len(kept.trials)]
    else:
        written = stage.written(folder)
        assert written == {output: expected[output] for output in written}
    assert list(folder.rglob("*.tmp")) == []


def ends_in_the_same_bytes(name: str, folder: Path, whole: Path) -> None:
    stage = STAGES[name]
    stage.begin(folder).end().well()
    assert stage.written(folder) == stage.written(whole)


def squeeze(
    name: str, folder: Path, whole: Path, run: Callable[[int], Ended], message: str
) -> None:
    """Runs a stage with more and more space, until it has enough."""
    before = others(folder, STAGES[name])
    failures = 0
    for pages in SPACES:
        ended = run(pages)
        if ended.code == 0:
            break
        failures += 1
        line = ended.error()
        assert message in line or " are free" in line, line
        assert "free some space" in line, line
        assert line.split(": ")[1] not in before, f"blames a file that was only read: {line}"
        nothing_is_half_written(name, folder, whole)
        assert others(folder, STAGES[name]) == before
    else:
        raise AssertionError("it never had enough")
    assert failures > 0
    assert STAGES[name].written(folder) == STAGES[name].written(whole)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_on_a_full_disk_is_one_line_and_with_space_again_ends_in_the_same_bytes(
    whole_flow: Path, tmp_path: Path, name: str
) -> None:
    with small_disk(tmp_path / "disk", "32m") as disk:
        folder = without_outputs(whole_flow, disk.folder / "flow", name)

        def run(pages: int) -> Ended:
            disk.leave(pages)
            return STAGES[name].begin(folder).end()

        squeeze(name, folder, whole_flow, run, "No space left on device")
        STAGES[name].remove_outputs(folder)
        disk.empty()
        ends_in_the_same_bytes(name, folder, whole_flow)


@pytest.mark.parametrize("name", STAGES)
def test_files_that_may_not_grow_are_one_line_and_the_next_run_ends_in_the_same_bytes(
    whole_flow: Path, tmp_path: Path, name: str
) -> None:
    """The same where no disk can be mounted: each file reaches a limit of its own."""
    folder = without_outputs(whole_flow, tmp_path / "flow", name)

    def run(pages: int) -> Ended:
        return STAGES[name].begin(folder, faults=[FileLimit(pages * 1500)]).end()

    squeeze(name, folder, whole_flow, run, "File too large")
    STAGES[name].remove_outputs(folder)
    ends_in_the_same_bytes(name, folder, whole_flow)


@pytest.mark.parametrize("place", [".features", "data/features"])
def test_an_extraction_whose_store_or_output_has_a_full_disk_of_its_own_is_one_line(
    whole_flow: Path, tmp_path: Path, place: str
) -> None:
    """Shards are then copied from one to the other, and no copy is ever half there."""
    folder = without_outputs(whole_flow, tmp_path / "flow", "extract")
    if place == "data/features":
        (folder / place).rmdir()
    with small_disk(folder / place, "32m") as disk:

        def run(pages: int) -> Ended:
            disk.leave(pages)
            ended = STAGES["extract"].begin(folder).end()
            assert ended.code == 0 or place in ended.stderr
            return ended

        squeeze("extract", folder, whole_flow, run, "No space left on device")
        STAGES["extract"].remove_outputs(folder)
        disk.empty()
        ends_in_the_same_bytes("extract", folder, whole_flow)


def predict_into_standard_output(folder: Path, out: Path, fault: FileLimit | None) -> Running:
    arguments = ("predict", "beasts", "data/raw/small.jsonl", "--encoder", "data/encoders/tiny")
    return begin(folder, *arguments, faults=[fault] if fault else [], stdout=out)


@pytest.mark.parametrize("size", [0, 3000])
def test_predictions_that_standard_output_refuses_are_not_said_to_be_whole(
    whole_flow: Path, tmp_path: Path, size: int
) -> None:
    """What the shell opened, the command cannot take back: the line must not deny a cut file."""
    out = tmp_path / "answers.jsonl"
    line = predict_into_standard_output(whole_flow, out, FileLimit(size)).end().error()
    assert "File too large" in line
    assert "nothing half-written" not in line
    assert "run it again" in line
    predict_into_standard_output(whole_flow, out, None).end().well()
    assert out.read_bytes() == (whole_flow / "answers.jsonl").read_bytes()


def test_a_disk_that_is_full_when_dvc_commits_loses_nothing_that_was_computed(
    whole_flow: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    """DVC's cache has a disk of its own: the features are written, and it cannot take them in."""
    project = make_dvc_flow(tmp_path / "flow", tiny_bert)
    with small_disk(project.folder / ".dvc" / "cache", "32m") as disk:
        project.dvc("repro", "prepare@small", "encoder@tiny")
        disk.leave(40)
        before = project.lock()
        refused = project.try_(sys.executable, "-m", "dvc", "repro", "extract@small")
        assert refused.returncode != 0
        assert "No space left on device" in refused.stdout + refused.stderr
        assert project.lock() == before
        disk.empty()
        assert computed(project.dvc("repro", "extract@small")) == [0]
        features = STAGES["extract"]
        assert features.written(project.folder) == features.written(whole_flow)
        assert "up to date" in project.dvc("status", "extract@small")
        project.run(sys.executable, "-m", "stages.store", "verify")
