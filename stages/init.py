"""Takes a file of yours into the project: looks at it, and writes its rows into params.yaml."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from stat import S_IMODE
from typing import Any, get_args

import click
from pydantic import TypeAdapter, ValidationError

from pipeline.core.command import PARAMS, StageCommand, complete_rows
from pipeline.core.errors import DataError, ParameterError
from pipeline.core.files import atomic_directory, atomic_file
from pipeline.core.params import ParamsFile
from pipeline.core.printing import printable
from pipeline.core.reading import open_regular
from pipeline.corpus.folds import FEWEST
from pipeline.ingest.formats import RawCorpus
from pipeline.ingest.listing import files_below, link_problem
from pipeline.ingest.problems import InvalidCorpusError
from pipeline.ingest.settings import STORED_KIND, CorpusSettings, FormatName
from pipeline.ingest.sources import bytes_of
from pipeline.setup.answers import Answers, asker, corpus_row
from pipeline.setup.first_rows import ROWS
from pipeline.setup.params_editing import add_rows
from pipeline.setup.preview import preview_file
from pipeline.setup.rows import features_row, head_row

_LONGEST = 80
"""Characters of the name of a head's row, which is one of files, too."""


@click.command(cls=StageCommand)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Of the corpus: lower-case letters, digits, underscores.")
@click.option("--format", "format_name", type=click.Choice(get_args(FormatName)))
@click.option("--text", help="The field of raw text.")
@click.option("--text-b", help="The field of the second text of a pair.")
@click.option("--words", help="The field of words.")
@click.option("--labels", help="As in params.yaml: {topic: class, score: number}.")
@click.option("--split", help="As in params.yaml: {train: 0.8, dev: 0.1, test: 0.1}.")
@click.option(
    "--encoder",
    help="A row of encoders; by default the first.",
    shell_complete=complete_rows("encoders"),
)
@click.option("--add/--no-add", default=True, help="Whether to run `dvc add` on the file.")
@click.option("--ask/--no-ask", default=None, help="Whether to ask; by default on a terminal.")
@PARAMS
def main(
    path: Path,
    name: str | None,
    format_name: FormatName | None,
    text: str | None,
    text_b: str | None,
    words: str | None,
    labels: str | None,
    split: str | None,
    encoder: str | None,
    add: bool,
    ask: bool | None,
    params_path: Path,
) -> None:
    """Looks at PATH, a file or folder with text and labels, and writes the rows that it needs.

    A row of corpora, one of features, and one of heads for each label, so that `make repro` works
    next. What flags do not say is asked on a terminal, and otherwise guessed and printed. A file
    outside of the project is copied into data/raw. Nothing is written if its first rows have a
    problem.
    """
    params = ParamsFile(params_path)
    preview = preview_file(path, format_name=format_name)
    said = Answers(name, format_name, text, text_b, words, labels, split, encoder)
    asking = sys.stdin.isatty() if ask is None else ask
    corpus_name, row = corpus_row(path, preview, said, asker(asking=asking), params)
    settings = _validated(row)
    _refuse_problems(path, settings)
    encoder = encoder or next(iter(params.table("encoders")), None)
    if encoder not in params.table("encoders"):
        raise ParameterError(f"{params_path}: there is no encoders.{encoder}; add one first")
    heads = _head_rows(corpus_name, settings)
    inside = _into_project(path, Path(row["path"]))
    features = features_row(corpus_name, encoder, raw_bytes=bytes_of(inside) or 0)
    add_rows(
        params_path,
        {"corpora": {corpus_name: row}, "features": {corpus_name: features}, "heads": heads},
    )
    click.echo(f"{params_path}: added corpora.{corpus_name}, features.{corpus_name}")
    for head in heads:
        click.echo(f"{params_path}: added heads.{head}")
    _track(inside, add=add)
    click.echo("next: make repro")


def _validated(row: Mapping[str, Any]) -> CorpusSettings:
    try:
        return TypeAdapter(CorpusSettings).validate_json(json.dumps(row))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        message = f"{field and f'{field}: '}{message[:1].lower()}{message[1:]}"
        raise ParameterError(f"the row of corpora: {message}") from None


def _refuse_problems(path: Path, settings: CorpusSettings) -> None:
    """Reads the first rows as `prepare` will.

    Raises:
        InvalidCorpusError: they have a problem.
    """
    raw = RawCorpus(path, settings)
    for _ in islice(raw, ROWS):
        pass
    try:
        raw.problems.raise_if_any(str(path))
    except InvalidCorpusError as error:
        for line in error.lines:
            click.echo(line, err=True)
        raise


def _head_rows(corpus: str, settings: CorpusSettings) -> dict[str, dict[str, Any]]:
    heads = {}
    if settings.split.folds is not None and settings.split.folds < FEWEST:
        click.echo(f"no head is added: heads need {FEWEST} folds or more")
        return {}
    for label, kind in settings.labels.items():
        base = re.sub(r"[^a-z0-9]+", "_", f"{corpus}_{label}".lower()).strip("_")[:_LONGEST]
        name = next(name for name in _numbered(base) if name not in heads)
        heads[name] = head_row(corpus, corpus, label, STORED_KIND[kind])
    return heads


def _numbered(name: str) -> Iterator[str]:
    """Yields the name, and then with numbers behind it."""
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _into_project(path: Path, place: Path) -> Path:
    """Copies what is outside of the project into it."""
    if path.resolve() == place.resolve():
        return place
    if place.exists():
        raise DataError(f"{place}: is there already; move it away, or give that path instead")
    if path.is_dir():
        with atomic_directory(place) as folder:
            for entry in files_below(path):
                _copy(path, Path(entry.path), folder / Path(entry.path).relative_to(path))
    else:
        with atomic_file(place, mode=S_IMODE(path.stat().st_mode)) as file:
            _copy(path, path.resolve(), file)
    click.echo(printable(f"copied {path} to {place}"))
    return place


def _copy(root: Path, path: Path, place: Path) -> None:
    """Copies what a corpus may be read from: regular files, and links to those that it may have."""
    if path.is_symlink() and (why := link_problem(path, root)):
        raise DataError(f"{path}: {why}; put a copy of it in its place")
    place.parent.mkdir(parents=True, exist_ok=True)
    with open_regular(path) as source, place.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    shutil.copymode(path, place)


def _track(path: Path, *, add: bool) -> None:
    if add and Path(".dvc").is_dir():
        command = [sys.executable, "-m", "dvc", "add", "--", str(path)]
        result = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, text=True, errors="replace"
        )
        if result.returncode == 0:
            click.echo(f"tracked by DVC: {path}.dvc; commit that file, and params.yaml")
            return
        for line in result.stderr.strip().splitlines():
            click.echo(printable(line), err=True)
    click.echo(f"to track it: {shlex.join(['dvc', 'add', str(path)])}")


if __name__ == "__main__":
    main()
