"""Stage: writes one page of what the other stages found; runs offline, as the page does."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import PARAMS, LongCommand
from pipeline.core.files import write_text
from pipeline.core.params import ParamsFile
from pipeline.report.artefacts import Places, read_inputs
from pipeline.report.page import render_page
from pipeline.report.settings import ReportSettings
from pipeline.report.view import make_view

PATH = click.Path(path_type=Path)


@click.command(cls=LongCommand)
@click.option("--texts", type=PATH, required=True, help="Folder of prepared texts.")
@click.option("--labels", type=PATH, required=True, help="Folder of prepared labels.")
@click.option("--models", type=PATH, required=True)
@click.option("--reports", type=PATH, required=True)
@click.option("--studies", type=PATH, required=True, help="Folder of studies; may hold none.")
@click.option("--out", type=PATH, required=True)
@PARAMS
def main(
    texts: Path,
    labels: Path,
    models: Path,
    reports: Path,
    studies: Path,
    out: Path,
    params_path: Path,
) -> None:
    """Writes the page of all corpora, features and heads that params.yaml names."""
    params = ParamsFile(params_path)
    settings = params.section(ReportSettings, "report")
    inputs = read_inputs(
        Places(texts, labels, models, reports, studies),
        corpora=params.table("corpora"),
        features=params.table("features"),
        heads=params.table("heads"),
        texts=settings.texts,
    )
    page = render_page(make_view(inputs, texts=settings.texts))
    write_text(out, page)
    size = len(page.encode("utf-8")) / 1e6
    click.echo(f"report: {out} ({size:.1f} MB, {len(inputs.heads)} heads); open it in a browser")


if __name__ == "__main__":
    main()
