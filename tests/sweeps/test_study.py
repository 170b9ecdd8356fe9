"""Which trial is next, which is given up, and what is left of a sweep that was killed."""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import MachineError, ParameterError
from pipeline.sweeps.results import TrialRecord, read_study
from pipeline.sweeps.run import sweep
from pipeline.sweeps.settings import SweepSettings
from pipeline.sweeps.study import Proposal, Study
from pipeline.sweeps.trial import RunTrial, ShouldPrune, TrialResult
from pipeline.sweeps.workers import workers

SETTINGS: dict[str, Any] = {
    "head": "h",
    "trials": 9,
    "seed": 3,
    "sampler": "random",
    "pruner": None,
    "space": {"rate": {"low": 0.1, "high": 1.0}, "size": {"choices": [1, 2, 3]}},
}


def open_study(folder: Path, **changes: Any) -> Study:
    settings = SweepSettings.model_validate_json(json.dumps(SETTINGS | changes))
    return Study(folder, settings, basis={"a": 1}, start={"rate": 0.5, "size": 9})


def record(proposal: Proposal, score: float) -> TrialRecord:
    return TrialRecord(
        trial=proposal.number,
        state="complete",
        score=score,
        values=proposal.values,
        drawn=proposal.drawn,
        seeds={},
        curve=[score],
        parameters=1,
        threads=1,
    )


class Silent:
    def began(self, number: int, values: dict[str, Any]) -> None: ...
    def epoch(self, number: int, epoch: int, best: float) -> None: ...
    def ended(self, record: TrialRecord) -> None: ...


def curve(values: Mapping[str, Any]) -> list[float]:
    """Scores of ten epochs, better with a higher rate."""
    return [values["rate"] * (1 - 0.5**epoch) for epoch in range(1, 11)]


def run(values: Mapping[str, Any], should_prune: ShouldPrune) -> TrialResult:
    seen: list[float] = []
    for epoch, score in enumerate(curve(values), 1):
        seen.append(score)
        if should_prune(epoch, max(seen)):
            return TrialResult("pruned", max(seen), {}, seen, 1, 1)
    return TrialResult("complete", max(seen), {}, seen, 1, 1)


def test_trials_below_the_median_are_given_up(tmp_path: Path) -> None:
    pruner = {"kind": "median", "startup_trials": 4, "warmup_epochs": 2}
    study = open_study(tmp_path, pruner=pruner, trials=30)
    sweep(study, [run], most=30, reporter=Silent())
    complete: list[list[float]] = []
    for trial in study.trials:
        expected = len(curve(trial.values))
        if len(complete) >= 4:
            for epoch in range(2, 11):
                own = max(curve(trial.values)[:epoch])
                if own < statistics.median(other[epoch - 1] for other in complete):
                    expected = epoch
                    break
        assert len(trial.curve) == expected, trial.trial
        assert (trial.state == "pruned") == (expected < 10)
        if trial.state == "complete":
            complete.append(trial.curve)
    assert 0 < sum(trial.state == "pruned" for trial in study.trials) < 26


def test_halving_gives_up_early_what_is_not_among_the_best(tmp_path: Path) -> None:
    pruner = {"kind": "halving", "first_epoch": 1, "factor": 3}
    study = open_study(tmp_path, pruner=pruner, trials=30)
    sweep(study, [run], most=30, reporter=Silent())
    lengths = [len(trial.curve) for trial in study.trials if trial.state == "pruned"]
    assert set(lengths) <= {1, 3, 9}
    best = max(study.trials, key=lambda trial: trial.values["rate"])
    assert best.state == "complete"


def test_what_is_learnt_is_used(tmp_path: Path) -> None:
    study = open_study(tmp_path, sampler="tpe", trials=40)
    sweep(study, [run], most=40, reporter=Silent())
    rates = [trial.values["rate"] for trial in study.trials]
    assert statistics.fmean(rates[20:]) > statistics.fmean(rates[:10]) + 0.1


def test_a_trial_that_was_killed_is_tried_again_under_its_number(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    running = [study.propose(9) for _ in range(3)]
    assert [one.number for one in running if one] == [0, 1, 2]
    assert running[0] is not None
    assert running[2] is not None
    study.end(running[2], record(running[2], 0.2))
    again = open_study(tmp_path)
    assert [trial.trial for trial in again.trials] == [2]
    next_one, following = again.propose(9), again.propose(9)
    assert next_one is not None
    assert following is not None
    assert (next_one.number, following.number) == (0, 1)
    assert next_one.values == running[0].values
    assert again.propose(3) is None


def test_a_study_of_another_basis_names_what_differs(tmp_path: Path) -> None:
    open_study(tmp_path)
    settings = SweepSettings.model_validate_json(json.dumps(SETTINGS))
    with pytest.raises(ParameterError, match=r"settings or data \(a, b\): their scores cannot be"):
        Study(tmp_path, settings, basis={"a": 2, "b": {"c": 1}}, start={"rate": 1, "size": 1})


def test_a_damaged_study_is_not_overwritten(tmp_path: Path) -> None:
    open_study(tmp_path)
    (tmp_path / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(ParameterError, match="cannot be read as a sweep"):
        open_study(tmp_path)
    assert (tmp_path / "study.json").read_text(encoding="utf-8") == "{"


@pytest.mark.parametrize("damage", ["lock", "garbage", "older"])
def test_the_journal_does_not_count(tmp_path: Path, damage: str) -> None:
    study = open_study(tmp_path)
    journal = tmp_path / "optuna.journal"
    older = journal.read_bytes()
    sweep(study, [run], most=3, reporter=Silent())
    if damage == "lock":
        (tmp_path / "optuna.journal.lock").symlink_to("nowhere")
    else:
        journal.write_bytes(older if damage == "older" else b"not json\n" + journal.read_bytes())
    again = open_study(tmp_path)
    assert again.trials == study.trials
    sweep(again, [run], most=5, reporter=Silent())
    kept = read_study(tmp_path)
    assert kept is not None
    assert [trial.trial for trial in kept.trials] == [0, 1, 2, 3, 4]


def test_lanes_share_the_trials(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    both = threading.Barrier(2)

    def lane(values: Mapping[str, Any], should_prune: ShouldPrune) -> TrialResult:
        both.wait(timeout=10)
        return run(values, should_prune)

    sweep(study, [lane, lane], most=8, reporter=Silent())
    assert [trial.trial for trial in study.trials] == list(range(8))


def test_a_lane_that_fails_ends_the_sweep_and_keeps_the_rest(tmp_path: Path) -> None:
    study = open_study(tmp_path)

    def failing(values: Mapping[str, Any], should_prune: ShouldPrune) -> TrialResult:
        raise MachineError("no memory")

    workers: list[RunTrial] = [run, failing]
    with pytest.raises(MachineError, match="no memory"):
        sweep(study, workers, most=50, reporter=Silent())


def no_material() -> Any:
    import os

    os._exit(9)


def unreadable() -> Any:
    from pipeline.core.errors import StoreError

    raise StoreError("features are damaged")


@pytest.mark.parametrize(
    ("data", "message"),
    [(no_material, "a process that ran a trial has ended"), (unreadable, "features are damaged")],
)
def test_a_worker_that_cannot_work_is_one_line(data: Any, message: str) -> None:
    with (
        workers(1, {}, partial(data), threads=1) as started,
        pytest.raises((MachineError, Exception), match=message),
    ):
        started[0]({}, lambda *_: False)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("journal", ["kept", "lost"])
def test_halving_goes_on_as_if_it_was_not_killed(tmp_path: Path, journal: str) -> None:
    """What a killed trial had reported competes with nobody, and what ended competes as before."""
    pruner = {"kind": "halving", "first_epoch": 1, "factor": 3}
    whole = open_study(tmp_path / "whole", pruner=pruner, trials=24)
    sweep(whole, [run], most=24, reporter=Silent())
    seen = 0

    def killed(values: Mapping[str, Any], should_prune: ShouldPrune) -> TrialResult:
        nonlocal seen
        seen += 1
        if seen == 10:
            should_prune(1, max(curve(values)[:1]))
            raise _KilledError
        return run(values, should_prune)

    part = open_study(tmp_path / "part", pruner=pruner, trials=24)
    with pytest.raises(_KilledError):
        sweep(part, [killed], most=24, reporter=Silent())
    if journal == "lost":
        (tmp_path / "part" / "optuna.journal").unlink()
    again = open_study(tmp_path / "part", pruner=pruner, trials=24)
    assert len(again.trials) == 9
    sweep(again, [run], most=24, reporter=Silent())
    assert again.trials == whole.trials
    assert {trial.state for trial in again.trials} == {"complete", "pruned"}
