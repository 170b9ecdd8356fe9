"""Stage: scores one head's predictions; imports no torch."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import click

from pipeline.corpus.folds import Run
from pipeline.corpus.storage import LABELS, TEXTS, read_labels, read_texts
from pipeline.errors import DataError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import read_probe, read_runs, run_files
from pipeline.evaluation.table import summary
from pipeline.files import atomic_file, canonical_json, md5_file, readable_json, write_text
from pipeline.heads.settings import HeadSettings
from pipeline.params import ParamsFile
from stages.command import PARAMS, LongCommand

PATH = click.Path(path_type=Path)


@click.command(cls=LongCommand)
@click.argument("name")
@click.option("--texts", type=PATH, required=True)
@click.option("--labels", type=PATH, required=True)
@click.option("--head", type=PATH, required=True, help="Says which run was kept.")
@click.option("--predictions", type=PATH, required=True, help="Folder with a file per run.")
@click.option("--probe", type=PATH, help="Predictions of the linear probe.")
@click.option("--metrics", type=PATH, required=True)
@click.option("--confusion", type=PATH, required=True)
@click.option("--calibration", type=PATH, required=True)
@click.option("--mistakes", type=PATH, required=True)
@PARAMS
def main(
    name: str,
    texts: Path,
    labels: Path,
    head: Path,
    predictions: Path,
    probe: Path | None,
    metrics: Path,
    confusion: Path,
    calibration: Path,
    mistakes: Path,
    params_path: Path,
) -> None:
    """Writes metrics and mistakes of head NAME on dev and test, and tables for plots of test."""
    settings = ParamsFile(params_path).section(HeadSettings, "heads", name)
    column = read_labels(labels, settings.label)
    files = run_files(predictions, column, seeds=settings.training.seeds)
    runs = read_runs(files, column)
    evaluation = evaluate(
        column,
        [text for _, text in read_texts(texts)],
        runs,
        kept=_kept_run(head, runs),
        probe=read_probe(probe, column) if probe else None,
    )
    sources = {
        "texts": texts / TEXTS,
        "labels": labels / LABELS,
        "head": head,
        **{path.name: path for path in files.values()},
    }
    # In a list: DVC shows as metrics what stands under names.
    inputs = [{"file": what, "md5": md5_file(path)} for what, path in sources.items()]
    write_text(metrics, readable_json({**evaluation.metrics, "inputs": inputs}))
    _write_csv(confusion, ["actual", "predicted"], evaluation.confusion)
    _write_csv(
        calibration,
        ["confidence", "accuracy", "texts"],
        (astuple(row) for row in evaluation.calibration),
    )
    write_text(mistakes, "".join(canonical_json(row) + "\n" for row in evaluation.mistakes))
    for line in summary(evaluation.metrics):
        click.echo(f"head {name}: {line}")


def _kept_run(path: Path, runs: Iterable[Run]) -> Run:
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        kept = Run(head["fold"], head["seed"])
        return next(run for run in runs if run == kept)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except (KeyError, TypeError, ValueError, StopIteration):
        raise DataError(f"{path}: names no run of the head; run `dvc repro`") from None


def _write_csv(path: Path, columns: list[str], rows: Iterable[Sequence[Any]]) -> None:
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
