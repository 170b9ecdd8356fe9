"""Stage: trains one head on cached features; never loads an encoder."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import PARAMS, LongCommand, echo_logs
from pipeline.core.environment import (
    allow_open_files,
    choose_device,
    flush_denormals,
    keep_freed_memory,
    store_path,
    use_threads,
)
from pipeline.core.files import (
    atomic_directory,
    csv_text,
    remove_temporaries,
    write_text,
)
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import read_labels
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.reader import open_features
from pipeline.heads.settings import HeadSettings
from pipeline.training.fit import fit_head
from pipeline.training.save import write_model


@click.command(cls=LongCommand)
@click.argument("name")
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--features", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--history", type=click.Path(path_type=Path), required=True)
@click.option("--scores", type=click.Path(path_type=Path), required=True)
@click.option("--layers", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(
    name: str,
    labels: Path,
    features: Path,
    out: Path,
    history: Path,
    scores: Path,
    layers: Path,
    params_path: Path,
) -> None:
    """Trains head NAME and writes its weights, predictions, history and shares of layers."""
    settings = ParamsFile(params_path).section(HeadSettings, "heads", name)
    flush_denormals()
    use_threads()
    keep_freed_memory()
    allow_open_files()
    for path in (out, history, scores, layers):
        remove_temporaries(path.parent, path.name)
    with echo_logs(f"head {name}: "):
        fitted = fit_head(
            settings,
            read_labels(labels, settings.label),
            open_features(features),
            hash_cache=HashCache(store_path() / CACHE_FILE),
            device=choose_device(),
        )
    with atomic_directory(out) as folder:
        write_model(folder, fitted)
    losses = ([epoch.epoch, epoch.train_loss, epoch.dev_loss] for epoch in fitted.history)
    write_text(history, csv_text(["epoch", "train_loss", "dev_loss"], losses))
    dev_scores = ([epoch.epoch, epoch.dev_score] for epoch in fitted.history)
    write_text(scores, csv_text(["epoch", "dev_score"], dev_scores))
    write_text(layers, csv_text(["layer", "share"], fitted.layer_weights.items()))


if __name__ == "__main__":
    main()
