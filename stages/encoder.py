"""Stage: materialises one frozen encoder into data/encoders."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from pipeline.core.command import PARAMS, LongCommand
from pipeline.core.params import ParamsFile
from pipeline.encoder.acceptance import require_usable
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise, read_snapshot


@click.command(cls=LongCommand)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(name: str, out: Path, params_path: Path) -> None:
    """Copies encoder NAME's weights, configuration and tokenizer into a folder of their own.

    It is loaded and tried out first: what is accepted here, extraction can read.
    """
    settings = ParamsFile(params_path).section(EncoderSettings, "encoders", name)
    accept = partial(require_usable, trust_remote_code=settings.trust_remote_code)
    materialise(settings, out, accept=accept)
    snapshot = read_snapshot(out, verify=False)
    click.echo(f"encoder {name}: {snapshot.depth} layers of width {snapshot.width} in {out}")


if __name__ == "__main__":
    main()
