"""Takes a file of yours into the project: looks at it, and writes its rows into params.yaml."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.corpus.formats import RawCorpus
from pipeline.corpus.guess import Guess, guess
from pipeline.corpus.look import ROWS, Look, look
from pipeline.corpus.problems import InvalidCorpusError
from pipeline.corpus.settings import STORED_KIND, CorpusSettings, FormatName, LabelKind
from pipeline.corpus.sources import bytes_of
from pipeline.errors import DataError, ParameterError
from pipeline.params import ROW_NAME, ParamsFile
from pipeline.params_edit import add_rows
from stages.command import PARAMS, StageCommand
from stages.init_rows import features_row, head_row

RAW = Path("data/raw")
FRACTIONS = {"train": 0.8, "dev": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Answers:
    """What flags say; ``None`` where they are silent."""

    name: str | None
    format: FormatName | None
    text: str | None
    text_b: str | None
    words: str | None
    labels: str | None
    split: str | None
    encoder: str | None


@click.command(cls=StageCommand)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Of the corpus: lower-case letters, digits, underscores.")
@click.option("--format", "format_name", type=click.Choice(get_args(FormatName)))
@click.option("--text", help="The field of raw text.")
@click.option("--text-b", help="The field of the second text of a pair.")
@click.option("--words", help="The field of words.")
@click.option("--labels", help="As in params.yaml: {topic: class, score: number}.")
@click.option("--split", help="As in params.yaml: {train: 0.8, dev: 0.1, test: 0.1}.")
@click.option("--encoder", help="A row of encoders; by default the first.")
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
    seen = look(path, format_name=format_name)
    said = Answers(name, format_name, text, text_b, words, labels, split, encoder)
    asking = sys.stdin.isatty() if ask is None else ask
    corpus_name, row = _corpus_row(path, seen, said, _asker(asking=asking), params)
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


def _asker(*, asking: bool) -> Callable[[str, str], str]:
    """Asks a question with a guess for an answer; without a terminal, says what the guess was."""

    def ask(question: str, guessed: str) -> str:
        if asking:
            return str(click.prompt(question, default=guessed, err=True))
        click.echo(f"{question}: {guessed}")
        return guessed

    return ask


def _corpus_row(
    path: Path, seen: Look, said: Answers, ask: Callable[[str, str], str], params: ParamsFile
) -> tuple[str, dict[str, Any]]:
    """The name of the corpus and its row, from flags, answers and guesses."""
    seen = _with_named_columns(seen)
    guessed = guess(seen)
    known = ", ".join(map(str, seen.values))
    click.echo(f"{path}: format {seen.format}; fields: {known}")
    name = said.name or ask("name of the corpus", _row_name(path, params))
    if not ROW_NAME.fullmatch(name):
        raise ParameterError(
            f"{name!r}: a row's name is lower-case letters, digits and underscores, and starts "
            "with a letter"
        )
    row: dict[str, Any] = {"path": str(_place(path)), "format": seen.format, **seen.settings}
    row["id"] = guessed.id
    if said.words or (guessed.words and not said.text):
        row["words"] = said.words or ask("field of words", guessed.words or "")
    else:
        row["text"] = said.text or ask("field of text", guessed.text or "")
        text_b = said.text_b or (guessed.text_b if not said.text else None)
        if text_b:
            row["text_b"] = text_b
    used = {row.get(field) for field in ("id", "words", "text", "text_b")}
    labels = {field: kind for field, kind in guessed.labels.items() if field not in used}
    answer = said.labels or ask("labels and their kinds", _flow(labels))
    row["labels"] = _mapping("labels", answer)
    if not row["labels"]:
        kinds = ", ".join(get_args(LabelKind))
        raise ParameterError(
            f"{path}: no field looks like a label; say --labels '{{field: kind}}' (kinds: {kinds})"
        )
    if "classes" in row["labels"].values() and seen.format in ("csv", "tsv", "lines"):
        row.setdefault("separator", ",")
    row["split"] = _mapping("split", said.split or ask("split", _flow(_split(seen, guessed))))
    if _draws(row["split"]):
        classes = [field for field, kind in row["labels"].items() if kind == "class"]
        row["stratify"] = classes[0] if classes else None
        row["seed"] = 13
    return name, row


def _with_named_columns(seen: Look) -> Look:
    """Columns of CoNLL, which have no names, called after what they hold."""
    if seen.format != "conll":
        return seen
    guessed = guess(seen)
    names: dict[str, str] = {}
    for column in seen.values:
        kind = guessed.labels.get(column)
        base = "words" if column == guessed.words else "tags" if kind == "tags" else "entities"
        taken = [name for name in names.values() if name.split("_")[0] == base]
        names[column] = f"{base}_{len(taken) + 1}" if taken else base
    return Look(
        seen.format,
        {**seen.settings, "columns": list(names.values())},
        {names[column]: values for column, values in seen.values.items()},
        seen.files,
    )


def _split(seen: Look, guessed: Guess) -> dict[str, Any]:
    if seen.files:
        split: dict[str, Any] = {"files": dict(seen.files)}
        return split if "dev" in seen.files else {**split, "dev": FRACTIONS["dev"]}
    if guessed.split_column is not None:
        split = {"column": guessed.split_column}
        if any(value != name for value, name in guessed.split_names.items()):
            split["names"] = dict(guessed.split_names)
        known = set(guessed.split_names.values())
        return split if "dev" in known else {**split, "dev": FRACTIONS["dev"]}
    return dict(FRACTIONS)


def _draws(split: Mapping[str, Any]) -> bool:
    return "dev" in split or "folds" in split


def _mapping(what: str, text: str) -> dict[str, Any]:
    try:
        value = YAML(typ="safe").load(text)
    except YAMLError:
        value = None
    if not isinstance(value, dict):
        raise ParameterError(f"{what}: must be written like {{key: value}}, not {text!r}")
    return value


def _flow(value: Mapping[str, Any]) -> str:
    """A mapping as one line of YAML."""
    yaml = YAML()
    yaml.default_flow_style = True
    yaml.width = 1 << 20
    text = io.StringIO()
    yaml.dump(dict(value), text)
    return text.getvalue().strip()


def _row_name(path: Path, params: ParamsFile) -> str:
    """A name that is free, from that of the file."""
    stem = re.sub(r"[^a-z0-9]+", "_", path.name.split(".")[0].lower()).strip("_") or "corpus"
    stem = stem if stem[0].isalpha() else f"corpus_{stem}"
    taken = {**params.table("corpora"), **params.table("features")}
    number, name = 1, stem
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def _place(path: Path) -> Path:
    """Where the file will be in the project."""
    root = Path.cwd()
    if path.resolve().is_relative_to(root):
        return path.resolve().relative_to(root)
    return RAW / path.resolve().name


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
    if settings.split.folds is not None:
        click.echo("no head is added: heads learn from train, dev and test")
        return {}
    for label, kind in settings.labels.items():
        name = re.sub(r"[^a-z0-9]+", "_", f"{corpus}_{label}".lower()).strip("_")
        row = head_row(corpus, corpus, label, STORED_KIND[kind])
        if row is None:
            click.echo(f"no head is added for {label}: none learns {kind}")
        else:
            heads[name] = row
    return heads


def _into_project(path: Path, place: Path) -> Path:
    """Copies what is outside of the project into it."""
    if path.resolve() == place.resolve():
        return place
    if place.exists():
        raise DataError(f"{place}: is there already; move it away, or give that path instead")
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place)
    else:
        shutil.copy(path, place)
    click.echo(f"copied {path} to {place}")
    return place


def _track(path: Path, *, add: bool) -> None:
    command = ["dvc", "add", str(path)]
    if add and Path(".dvc").is_dir():
        result = subprocess.run(  # noqa: S603
            [sys.executable, "-m", *command], check=False, capture_output=True, text=True
        )
        if result.returncode == 0:
            click.echo(f"tracked by DVC: {path}.dvc; commit that file, and params.yaml")
            return
        click.echo(result.stderr.strip(), err=True)
    click.echo(f"to track it: {' '.join(command)}")


if __name__ == "__main__":
    main()
