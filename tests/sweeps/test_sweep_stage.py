"""A sweep from its first trial to the head that training makes of the best one."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from import_graph import ROOT, third_party
from studied import SWEEP, make_study_project, run_sweep, study, write_params

from pipeline.core.errors import MachineError


@pytest.fixture(scope="module")
def made(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study_project(tmp_path_factory.mktemp("sweep"), tiny_encoder)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FEATURE_STORE", str(folder / ".features"))
    return folder


def trials_csv(folder: Path) -> bytes:
    return (folder / "studies" / "search" / "trials.csv").read_bytes()


def test_heads_on_pairs_apart_are_swept(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_study_project(tmp_path, tiny_encoder, pairs_apart=True, trials=3)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FEATURE_STORE", str(folder / ".features"))
    result = run_sweep()
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(trials_csv(folder).decode().splitlines()))
    assert len(rows) == 3
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    # A shell's background job ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [sys.executable, "-m", "stages.sweep", "search", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after_a_trial(folder: Path, how: int, *arguments: str) -> subprocess.Popen[str]:
    process = start(folder, *arguments)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("trial "):
            break
    time.sleep(0.05)
    process.send_signal(how)
    return process


def test_a_sweep_writes_its_trials(project: Path) -> None:
    result = run_sweep()
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("trial ")]
    assert [line.split()[1] for line in lines] == ["0", "1", "2", "3", "4", "5"]
    assert all("left; layers [" in line for line in lines)
    rows = list(csv.DictReader(trials_csv(project).decode().splitlines()))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    for row, record in zip(rows, study(project)["trials"], strict=True):
        assert float(row["score"]) == record["score"]
        assert record["score"] == max(record["curve"])
        assert int(row["epochs"]) == len(record["curve"])
        assert json.loads(row["layers"]) in ([2], [-1], [2, -1])
        assert 0.001 <= float(row["training.learning_rate"]) <= 0.05
        assert row["training.epochs"] == "4"
    assert f"best: trial {max(rows, key=lambda row: float(row['score']))['trial']}" in result.output


def test_the_first_trial_is_the_head_as_it_is(project: Path) -> None:
    run_sweep("--trials", "1")
    values = study(project)["trials"][0]["values"]
    assert values["training.learning_rate"] == 0.01
    assert values["recurrent.hidden_size"] == 16


def test_the_same_seed_tries_the_same(project: Path) -> None:
    run_sweep()
    first = trials_csv(project)
    shutil.rmtree(project / "studies")
    run_sweep()
    assert trials_csv(project) == first
    shutil.rmtree(project / "studies")
    write_params(project, seed=8)
    run_sweep()
    assert trials_csv(project) != first


def test_a_sweep_that_was_killed_goes_on_as_if_it_was_not(project: Path) -> None:
    # Trials that take long enough to be killed in, on a busy machine, too.
    lasting = {f"training.{name}": {"choices": [20]} for name in ("epochs", "patience")}
    write_params(project, space=SWEEP["space"] | lasting, pruner=None)
    run_sweep()
    expected = trials_csv(project)
    for how in (signal.SIGKILL, signal.SIGINT):
        shutil.rmtree(project / "studies")
        for _ in range(2):
            process = kill_after_a_trial(project, how)
            output = process.communicate()
            if how == signal.SIGINT:
                assert process.returncode == 130
                assert "trials are kept in studies/search" in output[1]
            assert 0 < len(study(project)["trials"]) < 6
        result = run_sweep()
        assert result.exit_code == 0, result.output
        assert trials_csv(project) == expected


@pytest.mark.parametrize("lost", ["optuna.journal", "half a line"])
def test_a_sweep_goes_on_without_its_journal(project: Path, lost: str) -> None:
    run_sweep()
    expected = trials_csv(project)
    shutil.rmtree(project / "studies")
    run_sweep("--trials", "3")
    journal = project / "studies" / "search" / "optuna.journal"
    if lost == "half a line":
        with journal.open("ab") as file:
            file.write(b'{"op_code":4,"trial')
    else:
        journal.unlink()
    run_sweep()
    assert trials_csv(project) == expected


def test_a_second_call_runs_what_is_missing_and_no_more(project: Path) -> None:
    run_sweep("--trials", "2")
    result = run_sweep("--trials", "3")
    assert "2 of 3 trials are there" in result.output
    assert result.output.count("\ntrial ") == 1
    before = trials_csv(project)
    result = run_sweep("--trials", "3")
    assert "\ntrial " not in result.output
    assert trials_csv(project) == before


def test_jobs_run_trials_side_by_side(project: Path) -> None:
    process = start(project, "--jobs", "2")
    output = process.communicate()
    assert process.returncode == 0, output
    trials = study(project)["trials"]
    assert [trial["trial"] for trial in trials] == list(range(6))
    alone = {json.dumps(trial["values"]): trial for trial in trials}
    shutil.rmtree(project / "studies")
    run_sweep("--trials", "1")
    first = study(project)["trials"][0]
    assert alone[json.dumps(first["values"])]["curve"] == first["curve"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_jobs_that_are_killed_leave_no_process(project: Path, how: int) -> None:
    process = kill_after_a_trial(project, how, "--jobs", "2", "--trials", "40")
    process.communicate()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and processes_in(project):
        time.sleep(0.1)
    assert not processes_in(project)
    kept = len(study(project)["trials"])
    result = run_sweep("--trials", str(kept + 1))
    assert result.exit_code == 0, result.output
    assert [trial["trial"] for trial in study(project)["trials"]] == list(range(kept + 1))


def processes_in(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder and int(entry.name) != os.getpid():
                found.append(entry.name)
        except OSError:
            continue
    return found


def train(project: Path) -> dict[str, Any]:
    from stages.train import main

    reports = [f"--{name}={project}/{name}.csv" for name in ("history", "scores", "layers")]
    arguments = ["beasts", "--labels=data/labels/c", "--features=data/features/f", "--out=model"]
    result = CliRunner().invoke(main, [*arguments, *reports], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads((project / "model" / "head.json").read_text("utf-8"))
    return content


def test_training_with_a_trials_settings_gives_exactly_its_score(project: Path) -> None:
    run_sweep()
    for trial in study(project)["trials"]:
        if trial["state"] != "complete":
            continue
        result = run_sweep("--apply", str(trial["trial"]))
        assert result.exit_code == 0, result.output
        head = train(project)
        assert head["dev_score"] == trial["score"]
        assert f"gives dev score {trial['score']!r}" in result.output
        scores = csv.DictReader((project / "scores.csv").read_text("utf-8").splitlines())
        assert [float(row["dev_score"]) for row in scores] == trial["curve"]
        assert head["parameters"] == trial["parameters"]


def test_applying_a_trial_keeps_comments_and_the_sweep(project: Path) -> None:
    run_sweep("--trials", "3")
    before = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    run_sweep("--apply", "2")
    after = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    changed = [line for line in after if line not in before]
    names = ("hidden_size", "learning_rate", "epochs", "layers", "- ")
    assert all(line.strip().startswith(names) for line in changed), changed
    assert any("cell: lstm # or gru" in line for line in after)
    result = run_sweep("--trials", "4")
    assert "3 of 4 trials are there" in result.output


def test_several_seeds_are_averaged_and_the_best_is_the_head(project: Path) -> None:
    params = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(
        params.replace("    - 5\n", "    - 5\n      - 6\n"), "utf-8"
    )
    run_sweep("--trials", "2")
    trial = study(project)["trials"][1]
    scores = [seed["dev_score"] for seed in trial["seeds"].values()]
    assert list(trial["seeds"]) == ["5", "6"]
    assert trial["score"] == sum(scores) / 2
    run_sweep("--apply", "1")
    assert train(project)["dev_score"] == max(scores)


def test_other_settings_do_not_go_on_with_the_trials(project: Path) -> None:
    run_sweep("--trials", "1")
    write_params(project, sampler="random")
    result = run_sweep()
    assert result.exit_code == 2
    assert "studies/search: its trials were made with other settings" in result.output
    assert "(sweep.sampler)" in result.output


def test_applying_to_a_head_that_changed_says_so(project: Path) -> None:
    run_sweep("--trials", "1")
    params = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(params.replace("patience: 3", "patience: 2"), "utf-8")
    result = run_sweep("--apply", "0")
    assert result.exit_code == 2
    assert "(head.training.patience)" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--apply", "0"], "studies/search: holds no sweep; run `python -m stages.sweep search`"),
        (["--record", "1"], "studies/search: holds no sweep"),
    ],
)
def test_nothing_to_apply_is_one_line(project: Path, arguments: list[str], message: str) -> None:
    result = run_sweep(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_an_unknown_trial_is_one_line(project: Path) -> None:
    run_sweep("--trials", "1")
    result = run_sweep("--apply", "9")
    assert result.exit_code == 2
    assert "there is no trial 9 to apply; there are: 0" in result.output


def test_a_trial_that_cannot_be_trained_is_a_failed_one(project: Path) -> None:
    rates = {"low": 1e36, "high": 1e37, "log": True}
    space = {"training.learning_rate": rates, "training.gradient_clip": {"choices": [1e37]}}
    write_params(project, space=space, trials=2)
    result = run_sweep()
    assert result.exit_code == 0, result.output
    assert [trial["state"] for trial in study(project)["trials"]] == ["failed", "failed"]
    assert "failed: the loss became" in result.output


def test_no_sweep_and_no_training_imports_transformers(project: Path) -> None:
    for stage in ("sweep", "train", "probe", "layers"):
        assert "transformers" not in third_party(f"stages.{stage}") or stage == "layers"
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from stages.sweep import main\n"
        "result = CliRunner().invoke(main, ['search', '--trials', '2'], catch_exceptions=False)\n"
        "assert result.exit_code == 0, result.output\n"
        "sys.exit(any(name.split('.')[0] == 'transformers' for name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=project, env=environment, check=False)
    assert done.returncode == 0


def test_a_trial_that_needs_too_much_memory_is_a_failed_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MachineError("cuda: out of memory in training; lower training.batch_size, now 8")

    monkeypatch.setattr("pipeline.sweeps.trial.train_seed", full)
    result = run_sweep("--trials", "2")
    assert result.exit_code == 0, result.output
    assert (
        "failed: cuda: out of memory in training; lower training.batch_size, now 8" in result.output
    )
    assert [trial["state"] for trial in study(project)["trials"]] == ["failed", "failed"]
    recorded = run_sweep("--record", "1")
    assert recorded.exit_code == 2
    assert "no trial is complete, so there is none to record" in recorded.output


def test_another_torch_is_told_where_a_trial_is_applied(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sweep("--trials", "1")
    monkeypatch.setattr("pipeline.sweeps.fingerprint.torch_version", lambda: "9.9.9")
    result = run_sweep("--apply", "0")
    assert result.exit_code == 0
    made = torch.__version__.split("+")[0]
    assert f"`dvc repro` here has torch 9.9.9; with {made} it gave dev score" in result.output
