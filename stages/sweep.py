"""Searches for settings of a head in one process; no stage of the pipeline, and no encoder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from pipeline.core.command import PARAMS, LongCommand, complete_rows, echo, echo_logs
from pipeline.core.environment import (
    allow_open_files,
    choose_device,
    flush_denormals,
    keep_freed_memory,
    store_path,
    use_threads,
)
from pipeline.core.errors import ParameterError
from pipeline.core.lock import only_writer
from pipeline.core.params import ParamsFile
from pipeline.heads.settings import HeadSettings
from pipeline.setup.params_editing import set_values
from pipeline.sweeps.experiments import record_trials
from pipeline.sweeps.reporter import LineReporter, TableReporter, settings
from pipeline.sweeps.results import StudyRecord, best_first, read_study
from pipeline.sweeps.settings import SweepSettings
from pipeline.sweeps.space import trial_settings, value_at
from pipeline.sweeps.validation import read_sweep

FOLDER = click.Path(path_type=Path)


@click.command(cls=LongCommand)
@click.argument("name", shell_complete=complete_rows("sweeps"))
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="At once.")
@click.option("--trials", type=click.IntRange(1), help="In all, instead of the row's number.")
@click.option("--record", "recorded", type=click.IntRange(1), help="Save the best N in DVC.")
@click.option("--apply", "applied", type=click.IntRange(0), help="Write a trial into params.yaml.")
@click.option("--labels-root", type=FOLDER, default="data/labels", show_default=True)
@click.option("--features-root", type=FOLDER, default="data/features", show_default=True)
@click.option("--studies-root", type=FOLDER, default="studies", show_default=True)
@PARAMS
def main(
    name: str,
    jobs: int,
    trials: int | None,
    recorded: int | None,
    applied: int | None,
    labels_root: Path,
    features_root: Path,
    studies_root: Path,
    params_path: Path,
) -> None:
    """Runs the trials of sweep NAME that are still to run, in studies/NAME.

    With --apply K writes the settings of trial K into the head's row; with --record N runs the
    best N trials as experiments of DVC. Neither runs trials of its own.
    """
    from pipeline.sweeps.fingerprint import (
        chosen,
        open_training_data,
        require_same_fingerprint,
        study_fingerprint,
    )
    from pipeline.sweeps.run import sweep as run_sweep
    from pipeline.sweeps.study import Study
    from pipeline.sweeps.trial import run_trial
    from pipeline.sweeps.workers import workers

    folder = studies_root / name
    params = ParamsFile(params_path)
    sweep, row = read_sweep(params, name)
    head = params.section(HeadSettings, "heads", sweep.head)
    if applied is not None or recorded is not None:
        kept, now = _kept(folder, name, sweep, row), chosen(sweep, row)
        require_same_fingerprint(folder, {key: kept.basis.get(key) for key in now}, now)
        if applied is not None:
            _apply(params_path, sweep.head, kept, applied)
        if recorded is not None:
            best = best_first(kept.trials)[:recorded]
            if not best:
                raise ParameterError(f"{folder}: no trial is complete, so there is none to record")
            with echo_logs():
                record_trials(name, sweep.head, best)
        return
    most = trials or sweep.trials
    flush_denormals()
    threads = use_threads()
    keep_freed_memory()
    allow_open_files()  # and its workers, which inherit it
    device = choose_device()
    open_ = partial(
        open_training_data,
        labels_root / head.corpus,
        head.label,
        features_root / head.features,
        store=store_path(),
        device=str(device),
    )
    data = open_()
    head = data.for_head(head).settings  # what is wrong with all trials is told before the first
    with ExitStack() as stack:
        with echo_logs(err=True):  # for whom it waits, and not how each trial's training goes
            stack.enter_context(only_writer(folder, f"a sweep of {name}"))
        study = Study(
            folder,
            sweep,
            basis=study_fingerprint(sweep, row, data),
            start={path: value_at(row, path) for path in sweep.space},
        )
        echo(
            f"sweep {name}: heads.{sweep.head} by {head.training.metric} on dev; "
            f"{len(study.trials)} of {most} trials are there"
        )
        reporter = _reporter(
            metric=head.training.metric, most=most, known=study.trials, workers=jobs
        )
        try:
            if jobs == 1:
                run_sweep(study, [partial(run_trial, row, data)], most=most, reporter=reporter)
            else:
                with workers(jobs, row, open_, threads=max(1, threads // jobs)) as started:
                    run_sweep(study, started, most=most, reporter=reporter)
        except KeyboardInterrupt:
            echo(
                f"stopped: {len(study.trials)} of {most} trials are kept in {folder}; "
                f"`python -m stages.sweep {name}` goes on",
                err=True,
            )
            sys.exit(130)
        best = best_first(study.trials)
    if best:
        number = best[0].trial
        echo(
            f"best: trial {number}, {best[0].score:.4f}: {settings(best[0].values)}; "
            f"`python -m stages.sweep {name} --apply {number}` takes its settings"
        )


def _kept(folder: Path, name: str, sweep: SweepSettings, row: Mapping[str, Any]) -> StudyRecord:
    """What a sweep has found; its settings may have been written by anybody, and are to be used."""
    kept = read_study(folder)
    if kept is None:
        raise ParameterError(f"{folder}: holds no sweep; run `python -m stages.sweep {name}`")
    for trial in kept.trials:
        try:
            trial_settings(row, trial.values)
        except (KeyError, ValueError):
            fits = False
        else:
            fits = trial.values.keys() == sweep.space.keys()
            fits = fits and (trial.state == "failed" or bool(trial.seeds))
        if not fits:
            raise ParameterError(
                f"{folder}: trial {trial.trial} is not one of this sweep; bring the folder back "
                "with git, or remove it to start anew"
            )
    return kept


def _apply(params_path: Path, head: str, kept: StudyRecord, number: int) -> None:
    from pipeline.sweeps.fingerprint import torch_version

    trial = next((trial for trial in kept.trials if trial.trial == number), None)
    if trial is None or trial.state == "failed":
        known = ", ".join(str(one.trial) for one in kept.trials if one.state != "failed")
        raise ParameterError(f"there is no trial {number} to apply; there are: {known or 'none'}")
    set_values(params_path, ("heads", head), trial.values)
    echo(f"{params_path}: heads.{head}: {settings(trial.values)}")
    if trial.state == "pruned":
        echo(f"trial {number} was given up early: trained to its end, it may score higher")
        return
    threads = f", with ICEHOUSE_THREADS={trial.threads}" if trial.threads else ""
    made, here = kept.basis.get("torch"), torch_version()
    gives = "gives" if made == here else f"here has torch {here}; with {made} it gave"
    echo(f"`dvc repro` {gives} dev score {trial.kept_score!r}{threads}")


def _reporter(**shared: Any) -> LineReporter:
    if not sys.stdout.isatty():
        return LineReporter(**shared, write=echo)
    return TableReporter(
        **shared,
        write=partial(click.echo, nl=False),
        columns=lambda: shutil.get_terminal_size().columns,
    )


if __name__ == "__main__":
    main()
