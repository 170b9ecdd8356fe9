"""Stage: trains one head on cached features; never loads an encoder."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from pipeline.corpus.storage import read_labels
from pipeline.environment import choose_device, store_path, use_threads
from pipeline.files import atomic_directory, atomic_file, canonical_json
from pipeline.heads.settings import HeadSettings
from pipeline.params import ParamsFile
from pipeline.store.digests import MEMORY, Digests
from pipeline.store.reader import open_features
from pipeline.training.checkpoint import save_head
from pipeline.training.fit import fit_head
from pipeline.training.loop import Epoch
from stages.command import PARAMS, StageCommand


@click.command(cls=StageCommand)
@click.argument("name")
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--features", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--history", type=click.Path(path_type=Path), required=True)
@click.option("--scores", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(
    name: str,
    labels: Path,
    features: Path,
    out: Path,
    history: Path,
    scores: Path,
    params_path: Path,
) -> None:
    """Trains head NAME and writes its weights, predictions and history."""
    settings = ParamsFile(params_path).section(HeadSettings, "heads", name)
    use_threads()
    fitted = fit_head(
        settings,
        read_labels(labels, settings.label),
        open_features(features),
        digests=Digests(store_path() / MEMORY),
        device=choose_device(),
        say=lambda line: click.echo(f"head {name}: {line}"),
    )
    with atomic_directory(out) as folder:
        save_head(folder, fitted.head, fitted.description)
        with (folder / "predictions.jsonl").open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(canonical_json(row) + "\n" for row in fitted.predictions)
    _write_curve(history, ["train_loss", "dev_loss"], fitted.history)
    _write_curve(scores, ["dev_score"], fitted.history)


def _write_curve(path: Path, columns: list[str], history: list[Epoch]) -> None:
    """A CSV with a line per epoch, for `dvc plots`."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["epoch", *columns])
        writer.writerows(
            [epoch.epoch, *(getattr(epoch, column) for column in columns)] for epoch in history
        )


if __name__ == "__main__":
    main()
