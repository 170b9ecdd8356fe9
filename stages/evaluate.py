"""Stage: scores one head's predictions; imports no torch."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import click

from pipeline.core.command import LongCommand, echo
from pipeline.core.errors import DataError
from pipeline.core.files import canonical_json, csv_text, md5_file, readable_json, write_text
from pipeline.corpus.storage import LABELS, TEXTS, read_labels, texts_of
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import read_head_runs, read_runs, run_files
from pipeline.evaluation.rivals import read_rivals
from pipeline.evaluation.table import summary
from pipeline.evaluation.verdict import training_facts

PATH = click.Path(path_type=Path)


@click.command(cls=LongCommand)
@click.argument("name")
@click.option("--texts", type=PATH, required=True)
@click.option("--labels", type=PATH, required=True)
@click.option("--head", type=PATH, required=True, help="Says which run was kept.")
@click.option("--predictions", type=PATH, required=True, help="Folder with a file per run.")
@click.option("--rivals", type=PATH, help="Folder with what the stage probe fitted.")
@click.option("--metrics", type=PATH, required=True)
@click.option("--confusion", type=PATH, required=True)
@click.option("--calibration", type=PATH, required=True)
@click.option("--mistakes", type=PATH, required=True)
def main(
    name: str,
    texts: Path,
    labels: Path,
    head: Path,
    predictions: Path,
    rivals: Path | None,
    metrics: Path,
    confusion: Path,
    calibration: Path,
    mistakes: Path,
) -> None:
    """Writes metrics and mistakes of head NAME on dev and test, and tables for plots of test."""
    trained = read_head_runs(head)
    column = read_labels(labels, trained.label)
    files = run_files(predictions, column, seeds=trained.seeds)
    if trained.kept not in files:
        raise DataError(f"{head}: names no run of the head; run `dvc repro`")
    runs = read_runs(files, column, trained.label_type)
    evaluation = evaluate(
        trained.label_type,
        column,
        texts_of(texts, column),
        runs,
        kept=trained.kept,
        rivals=read_rivals(rivals, column, trained.label_type) if rivals else None,
        training=training_facts(trained.losses, trained.best_epoch) if trained.losses else None,
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
    write_text(confusion, csv_text(["actual", "predicted"], evaluation.confusion))
    write_text(
        calibration,
        csv_text(
            ["confidence", "accuracy", "texts"], (astuple(row) for row in evaluation.calibration)
        ),
    )
    write_text(mistakes, "".join(canonical_json(row) + "\n" for row in evaluation.mistakes))
    for line in summary(evaluation.metrics):
        echo(f"head {name}: {line}")


if __name__ == "__main__":
    main()
