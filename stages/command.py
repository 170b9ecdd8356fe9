"""What all stages share: how a problem that the user can act on leaves the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.errors import IcehouseError

PARAMS = click.option(
    "--params",
    "params_path",
    type=click.Path(path_type=Path),
    default="params.yaml",
    show_default=True,
    help="The file of parameters.",
)


class StageCommand(click.Command):
    """A command that ends in one line and exit code 2 where the user can mend the cause."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the stage; errors of the pipeline become ``error: <what, where, what to do>``."""
        try:
            return super().invoke(ctx)
        except IcehouseError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
