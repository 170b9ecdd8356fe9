"""Stage: raw corpus to texts, and apart from them labels and splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from pipeline.corpus.formats import RawCorpus
from pipeline.corpus.prepare import prepare
from pipeline.corpus.problems import InvalidCorpusError
from pipeline.corpus.settings import CorpusSettings
from pipeline.corpus.sources import bytes_of
from pipeline.corpus.storage import write_corpus
from pipeline.files import readable_json, write_text
from pipeline.params import ParamsFile
from stages.command import PARAMS, StageCommand


@click.command(cls=StageCommand)
@click.argument("name")
@click.option("--texts", type=click.Path(path_type=Path), required=True)
@click.option("--labels", type=click.Path(path_type=Path), required=True)
@click.option("--report", type=click.Path(path_type=Path), required=True)
@PARAMS
def main(name: str, texts: Path, labels: Path, report: Path, params_path: Path) -> None:
    """Validates corpus NAME, splits it, and parts texts from labels.

    What is wrong with the corpus is printed, a line each, and nothing is written. What only looks
    wrong is a warning, here and in the report.
    """
    settings = ParamsFile(params_path).section(CorpusSettings, "corpora", name)
    path = Path(settings.path)
    size = bytes_of(path)
    with tqdm(
        total=size and 2 * size, unit="B", unit_scale=True, disable=None, desc=name
    ) as progress:
        raw = RawCorpus(path, settings, progress.update)
        corpus = prepare(raw, settings, problems=raw.problems, tally=raw.tally)
        try:
            raw.problems.raise_if_any(settings.path)
        except InvalidCorpusError as error:
            for line in error.lines:
                click.echo(line, err=True)
            raise
        facts = corpus.report_of(write_corpus(texts, labels, corpus))
    write_text(report, readable_json(facts))
    for line in _summary(facts):
        click.echo(f"corpus {name}: {line}")


def _summary(facts: Mapping[str, Any]) -> list[str]:
    splits = ", ".join(f"{count} {split}" for split, count in facts["splits"].items())
    lines = [f"{facts['rows']} rows ({splits})"]
    if repeats := facts["repeated_inputs"]["rows_beyond_the_first"]:
        lines.append(f"{repeats} rows repeat the text of an earlier one")
    if dropped := facts.get("rows_dropped_for_lack_of_text"):
        lines.append(f"{dropped} rows dropped for lack of text")
    for label, count in facts.get("rows_with_repaired_tags", {}).items():
        if count:
            lines.append(f"{label}: tags of {count} rows repaired")
    return [*lines, *(f"warning: {warning}" for warning in facts["warnings"])]


if __name__ == "__main__":
    main()
