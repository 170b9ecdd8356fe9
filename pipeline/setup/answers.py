"""Row of a new corpus: from flags, from answers on a terminal, and from guesses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import click

from pipeline.core.errors import DataError, ParameterError
from pipeline.core.params import ROW_NAME, ParamsFile
from pipeline.core.paths import UnsafeNameError, inside, member
from pipeline.core.printing import printable
from pipeline.core.yaml_reading import BadYamlError, load_yaml
from pipeline.ingest.settings import FormatName, LabelKind
from pipeline.setup.params_editing import inline
from pipeline.setup.preview import FilePreview
from pipeline.setup.schema_inference import InferredSchema, infer_schema

RAW = Path("data/raw")
_SHOWN = 200
_NAMES = 30
"""Fields that are told."""

FRACTIONS = {"train": 0.8, "dev": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Answers:
    """Answers that flags give; ``None`` where they are silent."""

    name: str | None
    format: FormatName | None
    text: str | None
    text_b: str | None
    words: str | None
    labels: str | None
    split: str | None
    encoder: str | None


def asker(*, asking: bool) -> Callable[[str, str], str]:
    """Asks a question with a guess for an answer; without a terminal, says what the guess was."""

    def ask(question: str, inferred: str) -> str:
        if asking:
            shown = printable(inferred)
            answer = str(click.prompt(question, default=shown, err=True))
            return inferred if answer == shown else answer
        click.echo(printable(f"{question}: {inferred}"))
        return inferred

    return ask


def corpus_row(
    path: Path,
    preview: FilePreview,
    said: Answers,
    ask: Callable[[str, str], str],
    params: ParamsFile,
) -> tuple[str, dict[str, Any]]:
    """The name of the corpus and its row, from flags, answers and guesses."""
    preview = _with_named_columns(preview)
    inferred = infer_schema(preview)
    known = ", ".join(islice(map(str, preview.values), _NAMES))
    more = f", and {len(preview.values) - _NAMES} more" if len(preview.values) > _NAMES else ""
    click.echo(printable(f"{path}: format {preview.format}; fields: {known}{more}"))
    name = said.name or ask("name of the corpus", _row_name(path, params))
    if not ROW_NAME.fullmatch(name):
        raise ParameterError(
            f"{name!r}: a row's name is lower-case letters, digits and underscores, and starts "
            "with a letter"
        )
    row: dict[str, Any] = {"path": str(_place(path)), "format": preview.format, **preview.settings}
    row["id"] = inferred.id
    if said.words or (inferred.words and not said.text):
        row["words"] = said.words or ask("field of words", inferred.words or "")
    else:
        row["text"] = said.text or ask("field of text", inferred.text or "")
        text_b = said.text_b or (inferred.text_b if not said.text else None)
        if text_b:
            row["text_b"] = text_b
    used = {row.get(field) for field in ("id", "words", "text", "text_b")}
    labels = {field: kind for field, kind in inferred.labels.items() if field not in used}
    answer = said.labels or ask("labels and their kinds", inline(labels))
    row["labels"] = _mapping("labels", answer)
    if not row["labels"]:
        kinds = ", ".join(get_args(LabelKind))
        raise ParameterError(
            f"{path}: no field looks like a label; say --labels '{{field: kind}}' (kinds: {kinds})"
        )
    if "classes" in row["labels"].values() and preview.format in ("csv", "tsv", "lines"):
        row.setdefault("separator", ",")
    row["split"] = _mapping("split", said.split or ask("split", inline(_split(preview, inferred))))
    if _draws(row["split"]):
        classes = [field for field, kind in row["labels"].items() if kind == "class"]
        row["stratify"] = classes[0] if classes else None
        row["seed"] = 13
    return name, row


def _with_named_columns(preview: FilePreview) -> FilePreview:
    """Columns of CoNLL, which have no names, called after what they hold."""
    if preview.format != "conll":
        return preview
    inferred = infer_schema(preview)
    names: dict[str, str] = {}
    for column in preview.values:
        kind = inferred.labels.get(column)
        base = "words" if column == inferred.words else "tags" if kind == "tags" else "entities"
        taken = [name for name in names.values() if name.split("_")[0] == base]
        names[column] = f"{base}_{len(taken) + 1}" if taken else base
    return FilePreview(
        preview.format,
        {**preview.settings, "columns": list(names.values())},
        {names[column]: values for column, values in preview.values.items()},
        preview.files,
    )


def _split(preview: FilePreview, inferred: InferredSchema) -> dict[str, Any]:
    if preview.files:
        split: dict[str, Any] = {"files": dict(preview.files)}
        return split if "dev" in preview.files else {**split, "dev": FRACTIONS["dev"]}
    if inferred.split_column is not None:
        split = {"column": inferred.split_column}
        if any(value != name for value, name in inferred.split_names.items()):
            split["names"] = dict(inferred.split_names)
        known = set(inferred.split_names.values())
        return split if "dev" in known else {**split, "dev": FRACTIONS["dev"]}
    return dict(FRACTIONS)


def _draws(split: Mapping[str, Any]) -> bool:
    return "dev" in split or "folds" in split


def _mapping(what: str, text: str) -> dict[str, Any]:
    try:
        value, why = load_yaml(text), ""
    except BadYamlError as error:
        value, why = None, f": {error.problem}"
    if not isinstance(value, dict):
        shown = text if len(text) < _SHOWN else f"{text[:_SHOWN]}..."
        raise ParameterError(f"{what}: must be written like {{key: value}}, not {shown!r}{why}")
    return value


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
    """Path of the file in the project."""
    root, path = Path.cwd(), path.resolve()
    try:
        if path.is_relative_to(root):
            return inside(Path(), str(path.relative_to(root)))
        return member(RAW, path.name)
    except UnsafeNameError as error:
        raise DataError(f"{path}: {error}; give it another name") from None
