"""SIGTERM ends a command in order, and SIGSTOP makes others wait, who say for whom."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from flow import STAGES
from interrupted import PauseAt, Running, begin

MOMENTS = {
    "prepare": ("pipeline.ingest.writer._label_row", 2),
    "encoder": ("pipeline.encoder.snapshot.readable_json", 1),
    "extract": ("pipeline.store.local.LocalStore.put", 3),
    "train": ("pipeline.training.save.canonical_json", 2),
    "probe": ("stages.probe.canonical_json", 2),
    "evaluate": ("stages.evaluate.csv_text", 2),
    "predict": ("stages.predict.canonical_json", 2),
    "sweep": ("pipeline.sweeps.study.Study.end", 2),
    "layers": ("stages.layers.latex", 1),
    "report": ("stages.report.render_page", 1),
}
"""A call that each command makes in the middle of its work, or of its writing."""


@pytest.fixture
def flow(whole_flow: Path, tmp_path: Path) -> Path:
    """A copy to work in, whose store is there."""
    return shutil.copytree(whole_flow, tmp_path / "flow")


@pytest.mark.parametrize("name", STAGES)
def test_a_terminated_command_leaves_nothing_temporary_and_the_next_run_the_same_bytes(
    flow: Path, whole_flow: Path, name: str
) -> None:
    stage = STAGES[name]
    stage.remove_outputs(flow)
    if name == "extract":
        shutil.rmtree(flow / ".features")
    if name == "sweep":
        shutil.rmtree(flow / "studies" / "search")
    pause = PauseAt(*MOMENTS[name])
    running = stage.begin(flow, faults=[pause])
    running.reaches(pause)
    running.signal(signal.SIGTERM)
    pause.release()
    ended = running.end()
    assert ended.code == 128 + signal.SIGTERM, ended
    assert "Traceback" not in ended.stderr
    assert list(flow.rglob("*.tmp")) == []
    if name != "sweep":
        written, expected = stage.written(flow), stage.written(whole_flow)
        assert written == {output: expected[output] for output in written}
    stage.begin(flow).end().well()
    assert stage.written(flow) == stage.written(whole_flow)


@pytest.mark.parametrize("moment", ["pathlib.Path.rename", "pathlib.Path.replace", "shutil.rmtree"])
def test_a_command_that_is_terminated_while_it_replaces_a_folder_leaves_the_old_one_or_the_new_one(
    flow: Path, whole_flow: Path, moment: str
) -> None:
    """Before the old one is put aside, between the two, and while the old one is removed."""
    probe = STAGES["probe"]
    pause = PauseAt(moment)
    running = probe.begin(flow, faults=[pause])
    running.reaches(pause)
    running.signal(signal.SIGTERM)
    pause.release()
    assert running.end().code == 128 + signal.SIGTERM
    assert probe.written(flow) == probe.written(whole_flow)
    assert list(flow.rglob("*.tmp")) == []


def begin_extraction(flow: Path, out: str, *, pause: PauseAt | None = None) -> Running:
    """Starts the extraction into a place of its own, in one store with all others."""
    arguments = ("extract", "small", "--texts", "data/text/small", "--encoder")
    arguments += ("data/encoders/tiny", "--out", out, "--report", f"{out}.json")
    return begin(flow, *arguments, faults=[pause] if pause else [])


@pytest.fixture
def cold(flow: Path) -> Path:
    """The flow with an empty store."""
    shutil.rmtree(flow / ".features")
    return flow


def manifest(flow: Path, out: str) -> bytes:
    return (flow / out / "manifest.json").read_bytes()


def test_a_stopped_holder_makes_others_wait_and_they_say_for_whom(cold: Path) -> None:
    pause = PauseAt("pipeline.store.local.LocalStore.put", 3)
    first = begin_extraction(cold, "first", pause=pause)
    first.reaches(pause)
    first.signal(signal.SIGSTOP)
    pause.release()
    second = begin_extraction(cold, "second")
    second.says(f"waiting for features first (process {first.pid} on ")
    assert not (cold / "second").exists()
    first.signal(signal.SIGCONT)
    first.end().well()
    said = second.end().well().stdout
    assert "80 rows stored, 0 rows (0 tokens) to compute" in said
    assert manifest(cold, "first") == manifest(cold, "second")
    assert manifest(cold, "first") == manifest(cold, "data/features/small")


def test_a_stopped_holder_that_is_killed_blocks_nobody(cold: Path) -> None:
    pause = PauseAt("pipeline.store.local.LocalStore.put", 3)
    first = begin_extraction(cold, "first", pause=pause)
    first.reaches(pause)
    first.signal(signal.SIGSTOP)
    second = begin_extraction(cold, "second")
    second.says("waiting for features first")
    first.signal(signal.SIGKILL)
    first.end()
    second.end().well()
    assert manifest(cold, "second") == manifest(cold, "data/features/small")
    assert not (cold / "first").exists()


def test_who_waits_can_be_terminated_and_the_holder_goes_on(cold: Path) -> None:
    pause = PauseAt("pipeline.store.local.LocalStore.put", 3)
    first = begin_extraction(cold, "first", pause=pause)
    first.reaches(pause)
    second = begin_extraction(cold, "second")
    second.says("waiting for features first")
    second.signal(signal.SIGTERM)
    assert second.end().code == 128 + signal.SIGTERM
    assert not (cold / "second").exists()
    pause.release()
    first.end().well()
    assert manifest(cold, "first") == manifest(cold, "data/features/small")
