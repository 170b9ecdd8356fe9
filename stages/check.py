"""Checks params.yaml as a whole: every row by itself, and what rows say of each other."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import PARAMS, StageCommand
from pipeline.core.params import ParamsFile

FOLDER = click.Path(path_type=Path)


@click.command(cls=StageCommand)
@click.option("--features-root", type=FOLDER, default="data/features", show_default=True)
@click.option("--encoders-root", type=FOLDER, default="data/encoders", show_default=True)
@PARAMS
def main(features_root: Path, encoders_root: Path, params_path: Path) -> None:
    """Checks params.yaml as a whole; `make repro` does so before anything runs."""
    from pipeline.project.check import TABLES, changed_sources, check_params

    params = ParamsFile(params_path)
    tables = check_params(params, features_root=features_root)
    for name, file, source in changed_sources(tables, encoders_root):
        click.echo(
            f"warning: encoders.{name}: {file} in {source} is no longer what was materialised; "
            f"`dvc repro -f encoder@{name}` takes the new one",
            err=True,
        )
    present = [*TABLES, *(["sweeps"] if "sweeps" in params.data else [])]
    counts = ", ".join(f"{name} {len(getattr(tables, name))}" for name in present)
    click.echo(f"{params_path}: valid ({counts})")


if __name__ == "__main__":
    main()
