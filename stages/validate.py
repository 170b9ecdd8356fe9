"""Checks raw corpora as `prepare` does, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import PARAMS, StageCommand, complete_rows
from pipeline.core.params import ParamsFile


@click.command(cls=StageCommand)
@click.argument("names", nargs=-1, shell_complete=complete_rows("corpora"))
@PARAMS
def main(names: tuple[str, ...], params_path: Path) -> None:
    """Reads corpora NAMES (default: all) and says what is wrong, or looks wrong, with them.

    DVC removes what a stage made before it runs the stage anew, so that a raw file with a problem
    costs a `dvc checkout`; this command costs nothing.
    """
    from pipeline.ingest.settings import CorpusSettings
    from stages.prepare import progress_bar, summary, validated

    params = ParamsFile(params_path)
    for name in names or params.table("corpora"):
        settings = params.section(CorpusSettings, "corpora", name)
        with progress_bar(name, Path(settings.path), readings=2) as progress:
            facts = validated(settings, progress.update).report
        for line in summary(facts):
            click.echo(f"corpus {name}: {line}")


if __name__ == "__main__":
    main()
