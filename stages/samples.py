"""Writes the sample corpora into data/raw, where they are absent."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import StageCommand
from pipeline.setup.demo_data import write_demo_data


@click.command(cls=StageCommand)
@click.option("--out", type=click.Path(path_type=Path), default="data/raw", show_default=True)
def main(out: Path) -> None:
    """Writes the sample corpora that are absent; a file that is there is never touched."""
    for path in write_demo_data(out):
        click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
