"""Stage: fits the linear probe of one head on cached features; never loads an encoder."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import PARAMS, LongCommand, echo
from pipeline.core.environment import allow_open_files, store_path, use_threads
from pipeline.core.files import atomic_directory, canonical_json, readable_json
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import read_labels
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.reader import open_features
from pipeline.probes.probe import fit_probe
from pipeline.probes.settings import ProbeSettings


@click.command(cls=LongCommand)
@click.argument("name")
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--features", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(name: str, labels: Path, features: Path, out: Path, params_path: Path) -> None:
    """Fits a linear model on the layers that head NAME reads, and writes its predictions."""
    settings = ParamsFile(params_path).section(ProbeSettings, "heads", name)
    use_threads()
    allow_open_files()
    fitted = fit_probe(
        settings,
        read_labels(labels, settings.label),
        open_features(features),
        hash_cache=HashCache(store_path() / CACHE_FILE),
    )
    with atomic_directory(out) as folder:
        (folder / "probe.json").write_text(readable_json(fitted.description), encoding="utf-8")
        with (folder / "predictions.jsonl").open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(canonical_json(row) + "\n" for row in fitted.predictions)
    for fold, fit in fitted.description.get("folds", {None: fitted.description}).items():
        for l2, score in fit["dev_scores"].items():
            where = f"{fold.replace('_', ' ')}, " if fold else ""
            chosen = ", chosen" if float(l2) == fit["l2"] else ""
            echo(f"probe of {name}: {where}l2 {l2}: dev score {score:.4f}{chosen}")


if __name__ == "__main__":
    main()
