"""Takes a file of yours into the project: looks at it, and writes its rows into params.yaml."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from stat import S_IMODE
from typing import Any, get_args

import click
from pydantic import TypeAdapter, ValidationError

from pipeline.core.command import PARAMS, StageCommand, complete_rows
from pipeline.core.environment import project_root, store_path
from pipeline.core.errors import DataError, EncoderError, ParameterError
from pipeline.core.files import atomic_directory, atomic_file
from pipeline.core.params import ParamsFile
from pipeline.core.printing import printable
from pipeline.core.reading import open_regular
from pipeline.corpus.folds import FEWEST
from pipeline.corpus.texts import Text
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import DESCRIPTION, read_snapshot
from pipeline.encoder.source import source_depth
from pipeline.extraction.settings import FeaturesSettings
from pipeline.ingest.formats import RawCorpus
from pipeline.ingest.listing import files_below, link_problem
from pipeline.ingest.problems import InvalidCorpusError
from pipeline.ingest.settings import CorpusSettings, FormatName
from pipeline.ingest.sources import bytes_of
from pipeline.setup.answers import Answers, asker, corpus_row
from pipeline.setup.first_rows import ROWS
from pipeline.setup.params_editing import add_rows
from pipeline.setup.preview import preview_file
from pipeline.setup.rows import are_long, default_layers, features_row, head_rows, kept_layers


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
@click.option(
    "--quick/--no-quick",
    default=None,
    help="Whether to keep the layers that linear probes find on some of its rows, in about a "
    "minute; on a terminal it is asked, elsewhere it is not done.",
)
@click.option("--ask/--no-ask", default=None, help="Whether to ask; by default on a terminal.")
@click.option(
    "--encoders-root",
    type=click.Path(path_type=Path),
    default="data/encoders",
    show_default=True,
    help="Of materialised encoders.",
)
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
    quick: bool | None,
    ask: bool | None,
    encoders_root: Path,
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
    long = are_long(_first_texts(path, settings))
    encoder = encoder or next(iter(params.table("encoders")), "")
    if encoder not in params.table("encoders"):
        raise ParameterError(f"{params_path}: there is no encoders.{encoder}; add one first")
    model = params.section(EncoderSettings, "encoders", encoder)
    layers = default_layers(settings, _depth(model, encoders_root / encoder))
    features = features_row(
        corpus_name,
        encoder,
        layers=layers.values(),
        long=long,
        pairs=settings.text_b is not None,
        raw_bytes=bytes_of(path) or 0,
    )
    heads: dict[str, dict[str, Any]] = {}
    if settings.split.folds is not None and settings.split.folds < FEWEST:
        click.echo(f"no head is added: heads need {FEWEST} folds or more")
    else:
        if _asks_quick_look() if quick is None and asking else quick:
            found, pairs = _quick_look(path, settings, features, model, encoders_root / encoder)
            layers |= found
            features["layers"] = kept_layers(layers.values())
            features |= {} if pairs is None else {"pairs": pairs}
        heads = head_rows(corpus_name, settings, layers)
    inside = _into_project(path, Path(row["path"]))
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


def _first_texts(path: Path, settings: CorpusSettings) -> list[Text]:
    """Reads the first rows as `prepare` will.

    Raises:
        InvalidCorpusError: they have a problem.
    """
    raw = RawCorpus(path, settings)
    texts = [example.text for example in islice(raw, ROWS)]
    try:
        raw.problems.raise_if_any(str(path))
    except InvalidCorpusError as error:
        for line in error.lines:
            click.echo(line, err=True)
        raise
    return texts


def _depth(model: EncoderSettings, folder: Path) -> int | None:
    """Layers of an encoder, where its configuration is at hand; nothing is loaded for it."""
    try:
        if (folder / DESCRIPTION).is_file():
            return read_snapshot(folder, verify=False).depth
        return source_depth(model)
    except EncoderError:
        return None  # what is wrong with it, `check` says, whatever the corpus


def _asks_quick_look() -> bool:
    question = "try all layers of the encoder on some of its rows, which takes about a minute?"
    return click.confirm(question, default=True, err=True)


def _quick_look(
    path: Path,
    settings: CorpusSettings,
    features: Mapping[str, Any],
    model: EncoderSettings,
    encoder: Path,
) -> tuple[dict[str, list[int]], str | None]:
    """Layers that probes of some rows find best, by label; and how pairs are better read, if any.

    The corpus may not be in the project yet.
    """
    from pipeline.quick_look.encoded_sample import materialised
    from pipeline.quick_look.layer_scores import proposed_layers, proposed_pairs
    from pipeline.quick_look.look import quick_look
    from pipeline.quick_look.sample import draw_sample
    from pipeline.quick_look.score_table import layer_names
    from stages.prepare import progress_bar, validated

    row = FeaturesSettings.model_validate_json(json.dumps(features))
    with progress_bar(row.corpus, path, readings=2) as progress:
        sample = draw_sample(validated(settings, progress.update, path=path), row)
    folder = materialised(model, encoder)
    found = quick_look(
        sample,
        list(settings.labels),
        usual=default_layers(settings, read_snapshot(folder, verify=False).depth),
        settings=row,
        encoder=folder,
        store_root=store_path(),
        project=project_root(),
        trust_remote_code=model.trust_remote_code,
    )
    layers = proposed_layers(found)
    click.echo(f"kept: {layer_names(kept_layers(layers.values()))}")
    return layers, proposed_pairs(found)


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
