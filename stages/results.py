"""Prints one line per head: its scores on dev and test beside the baseline, as a Markdown table."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.core.command import StageCommand, echo
from pipeline.core.errors import DataError
from pipeline.evaluation.metrics_file import read_metrics
from pipeline.evaluation.table import results_table


@click.command(cls=StageCommand)
@click.option(
    "--reports", type=click.Path(path_type=Path), default="reports/heads", show_default=True
)
def main(reports: Path) -> None:
    """Prints the metrics of all heads as a Markdown table."""
    paths = sorted(reports.glob("*/metrics.json"))
    if not paths:
        raise DataError(f"{reports}: holds no metrics; run `dvc repro`")
    heads = {path.parent.name: read_metrics(path) for path in paths}
    for line in results_table(heads):
        echo(line)


if __name__ == "__main__":
    main()
