"""Stage: scores one head's predictions; imports no torch."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import click

from pipeline.corpus.storage import read_labels, read_texts
from pipeline.errors import DataError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.table import summary
from pipeline.files import atomic_file, canonical_json, readable_json, write_text
from pipeline.heads.settings import HeadSettings
from pipeline.params import ParamsFile
from stages.command import PARAMS, StageCommand


@click.command(cls=StageCommand)
@click.argument("name")
@click.option("--texts", type=click.Path(path_type=Path), required=True)
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--predictions", type=click.Path(path_type=Path), required=True)
@click.option("--metrics", type=click.Path(path_type=Path), required=True)
@click.option("--confusion", type=click.Path(path_type=Path), required=True)
@click.option("--mistakes", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(
    name: str,
    texts: Path,
    labels: Path,
    predictions: Path,
    metrics: Path,
    confusion: Path,
    mistakes: Path,
    params_path: Path,
) -> None:
    """Writes metrics and mistakes of head NAME on dev and test, and its confusion on test."""
    settings = ParamsFile(params_path).section(HeadSettings, "heads", name)
    if not predictions.is_file():
        raise DataError(f"{predictions}: no such file; run `dvc repro`")
    with predictions.open(encoding="utf-8", newline="\n") as file:
        rows = [json.loads(line) for line in file]
    evaluation = evaluate(
        read_labels(labels, settings.label), [text for _, text in read_texts(texts)], rows
    )
    write_text(metrics, readable_json(evaluation.metrics))
    with (
        atomic_file(confusion) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["actual", "predicted"])
        writer.writerows(evaluation.confusion)
    write_text(mistakes, "".join(canonical_json(row) + "\n" for row in evaluation.mistakes))
    for line in summary(evaluation.metrics):
        click.echo(f"head {name}: {line}")


if __name__ == "__main__":
    main()
