"""Brings a data set of Hugging Face datasets into data/raw, as files that DVC can track."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import StageCommand, echo_logs
from pipeline.setup.hub_download import fetch


@click.command(cls=StageCommand)
@click.argument("source")
@click.option("--revision", help="Of a data set on the Hub: a commit, 40 hexadecimal digits.")
@click.option("--config", help="Which one, of a data set with several.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder to write.")
def main(source: str, revision: str | None, config: str | None, out: Path) -> None:
    """Writes the splits of SOURCE, owner/name on the Hub or a folder of save_to_disk, as JSONL."""
    with echo_logs():
        fetch(source, out, revision=revision, config=config)
    click.echo(f"next: python -m stages.init {out}")


if __name__ == "__main__":
    main()
