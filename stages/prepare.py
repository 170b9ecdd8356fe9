"""Stage: raw corpus to texts, and apart from them labels and splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from pipeline.core.command import PARAMS, LongCommand
from pipeline.core.files import readable_json, write_text
from pipeline.core.params import ParamsFile
from pipeline.ingest.formats import RawCorpus
from pipeline.ingest.prepare import PreparedCorpus, prepare
from pipeline.ingest.problems import InvalidCorpusError
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import bytes_of
from pipeline.ingest.writer import write_corpus


@click.command(cls=LongCommand)
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
    with progress_bar(name, Path(settings.path), readings=2) as progress:
        corpus = validated(settings, progress.update)
        facts = corpus.report_of(write_corpus(texts, labels, corpus))
    write_text(report, readable_json(facts))
    for line in summary(facts):
        click.echo(f"corpus {name}: {line}")


def progress_bar(name: str, path: Path, *, readings: int) -> tqdm[Any]:
    """A bar over the bytes of raw files; silent where there is no terminal."""
    size = bytes_of(path)
    return tqdm(total=size and readings * size, unit="B", unit_scale=True, disable=None, desc=name)


def validated(
    settings: CorpusSettings, advance: Callable[[int], object], *, path: Path | None = None
) -> PreparedCorpus:
    """Reads a raw corpus once; prints what is wrong with it.

    Args:
        settings: how it is read.
        advance: told how many bytes were read since it was told last.
        path: where it is, if not where the settings say.

    Raises:
        InvalidCorpusError: anything is.
    """
    raw = RawCorpus(path or Path(settings.path), settings, advance)
    corpus = prepare(raw, settings, problems=raw.problems, tally=raw.tally)
    try:
        raw.problems.raise_if_any(str(path or settings.path))
    except InvalidCorpusError as error:
        for line in error.lines:
            click.echo(line, err=True)
        raise
    return corpus


def summary(facts: Mapping[str, Any]) -> list[str]:
    """A report in a few lines, warnings last."""
    splits = ", ".join(f"{count} {split}" for split, count in facts["splits"].items())
    lines = [f"{facts['rows']} rows ({splits})"]
    if repeats := facts["repeated_inputs"]["rows_beyond_the_first"]:
        lines.append(f"{repeats} rows repeat the text of an earlier one")
    if dropped := facts.get("rows_dropped_for_lack_of_text"):
        lines.append(f"{dropped} rows dropped for lack of text")
    if hidden := facts.get("hidden_files_left_out"):
        lines.append(f"{hidden} hidden files or folders left out: their names begin with a dot")
    for label, count in facts.get("rows_with_repaired_tags", {}).items():
        if count:
            lines.append(f"{label}: tags of {count} rows repaired")
    return [*lines, *(f"warning: {warning}" for warning in facts["warnings"])]


if __name__ == "__main__":
    main()
