"""Stage: fits the rivals of one head on its texts and cached features; never loads an encoder."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import PARAMS, LongCommand, echo
from pipeline.core.environment import allow_open_files, store_path
from pipeline.core.files import atomic_directory, canonical_json, readable_json
from pipeline.core.params import ParamsFile
from pipeline.corpus.storage import read_labels, texts_of
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.features.reader import open_features
from pipeline.probes.fit_cache import FitCache
from pipeline.probes.rivals import fit_rivals
from pipeline.probes.settings import ProbeSettings


@click.command(cls=LongCommand)
@click.argument("name")
@click.option("--texts", type=click.Path(path_type=Path), required=True)
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--features", type=click.Path(path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(
    name: str, texts: Path, labels: Path, features: Path, out: Path, params_path: Path
) -> None:
    """Fits the rivals of head NAME, and writes their predictions and what they are."""
    settings = ParamsFile(params_path).section(ProbeSettings, "heads", name)
    allow_open_files()
    column = read_labels(labels, settings.label)
    rivals = fit_rivals(
        settings,
        column,
        open_features(features),
        lambda: texts_of(texts, column),
        fit_cache=FitCache(store_path()),
        hash_cache=HashCache(store_path() / CACHE_FILE),
    )
    with atomic_directory(out) as folder:
        for key, fitted in rivals.items():
            (folder / f"{key}.json").write_text(readable_json(fitted.description), encoding="utf-8")
            with (folder / f"{key}.jsonl").open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(canonical_json(row) + "\n" for row in fitted.predictions)
    for fitted in rivals.values():
        for line in fitted.lines():
            echo(f"head {name}: {line}")


if __name__ == "__main__":
    main()
