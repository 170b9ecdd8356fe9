"""Forty trials of the default tagger in one process, and what other ways would take."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.corpora import default_encoder
from benchmarks.epoch import PlainHead, encoder_in_the_loop, make_work
from benchmarks.measure import Bar, report, table
from benchmarks.projects import change_params, commit, copy_project, dvc, stage
from pipeline.core.environment import keep_freed_memory, use_threads
from pipeline.sweeps.results import read_study

HEAD = "tweet_entities"
TRIALS = 40
JOBS = 2
OTHERS = 2
"""What the other ways are extrapolated from: experiments, and epochs."""

EXAMPLES = 320
"""Tweets of an epoch with the encoder in the loop, of which a whole one is extrapolated."""

SWEEP: dict[str, Any] = {
    "head": HEAD,
    "trials": TRIALS,
    "seed": 7,
    "sampler": "tpe",
    "pruner": {"kind": "median", "startup_trials": 5, "warmup_epochs": 2},
    "space": {
        "layers": {"subsets": [4, -1]},
        "recurrent.hidden_size": {"choices": [64, 128, 192]},
        "recurrent.num_layers": {"choices": [1, 2]},
        "recurrent.dropout": {"low": 0.1, "high": 0.6},
        "training.learning_rate": {"low": 0.0003, "high": 0.01, "log": True},
        "training.epochs": {"choices": [12]},
    },
}


def main(trials: int = TRIALS) -> None:
    """Prints minutes of each way, and the bar; fewer trials are extrapolated to all."""
    use_threads()
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name) / "project"
        folder.mkdir()
        _tagger_alone(folder)
        begin = time.perf_counter()
        stage(folder, "sweep", HEAD, "--jobs", str(JOBS), "--trials", str(trials))
        seconds = (time.perf_counter() - begin) / trials
        study = read_study(folder / "studies" / HEAD)
        if study is None or len(study.trials) != trials:
            raise SystemExit("the sweep did not run its trials")
        epochs = statistics.mean(len(trial.curve) for trial in study.trials)
        experiment = _experiment_seconds(folder)
        epoch = _epoch_with_encoder(Path(name))
    ours = seconds * TRIALS / 60
    print(f"{trials} trials ran, {epochs:.1f} epochs each; the other ways have no pruning")
    table(
        f"{TRIALS} trials of {HEAD}",
        {
            f"ours, {JOBS} jobs": ours,
            "dvc exp run": experiment * TRIALS / 60,
            "encoder in the loop": epoch * 12 * TRIALS / 60,
        },
        "min",
    )
    report("sweep", {"minutes": Bar(ours, 20, at_most=True)})


def _tagger_alone(folder: Path) -> None:
    """A project of the default tagger, its features extracted, and a commit."""
    copy_project(folder)
    with change_params(folder) as params:
        params["heads"] = {HEAD: params["heads"][HEAD]}
        params["features"] = {"tweets": params["features"]["tweets"]}
        params["corpora"] = {"tweets": params["corpora"]["tweets"]}
        params["sweeps"] = {HEAD: SWEEP}
    dvc(folder, "repro", "extract@tweets")


def _experiment_seconds(folder: Path) -> float:
    """Median seconds of `dvc exp run` with one setting changed, all 12 epochs of it."""
    dvc(folder, "repro", f"evaluate@{HEAD}")
    commit(folder)
    walls = []
    for number in range(OTHERS):
        begin = time.perf_counter()
        changes = {"recurrent.hidden_size": 96 + 16 * number, "training.epochs": 12}
        arguments = [f"--set-param=heads.{HEAD}.{path}={value}" for path, value in changes.items()]
        dvc(folder, "exp", "run", *arguments, f"evaluate@{HEAD}")
        walls.append(time.perf_counter() - begin)
    return statistics.median(walls)


def _epoch_with_encoder(folder: Path) -> float:
    """Median seconds of an epoch over all training tweets, the encoder run on each batch."""
    encoder = default_encoder(folder)
    work = make_work(folder / "tweets", encoder, head=HEAD, examples=EXAMPLES)
    whole = make_work(folder / "all", encoder, head=HEAD, examples=1 << 30)
    run = encoder_in_the_loop(work, PlainHead(work), encoder)
    walls = []
    for _ in range(OTHERS):
        begin = time.perf_counter()
        run()
        walls.append(time.perf_counter() - begin)
    return statistics.median(walls) * whole.tokens / work.tokens


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
