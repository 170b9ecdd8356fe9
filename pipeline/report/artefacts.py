"""Reads what the other stages wrote; the only module of the report that opens their files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field

from pipeline.core.errors import DataError
from pipeline.core.files import md5_file
from pipeline.core.paths import UnsafeNameError, member
from pipeline.core.reading import Record, parse_json, parse_record, read_bytes, read_text
from pipeline.corpus.storage import LABELS, TEXTS, Labels, read_labels, read_texts
from pipeline.corpus.texts import Text
from pipeline.evaluation.metrics_file import read_metrics
from pipeline.evaluation.predictions import (
    Predictions,
    out_of_fold,
    read_head,
    read_runs,
    run_files,
)
from pipeline.tasks.label_type import LabelType

Rows = list[dict[str, str]]
"""A CSV file: a dictionary per line."""

Read = TypeVar("Read")
STUDY_TABLES = ("trials.csv", "layers.csv", "labels.csv")
_HEAD_TABLES = {
    "history": ("epoch", "train_loss", "dev_loss"),
    "scores": ("epoch", "dev_score"),
    "layers": ("layer", "share"),
    "calibration": ("confidence", "accuracy", "texts"),
}
"""Columns of a head's tables."""

_SHOWN = (
    *("layers", "best_epoch", "parameters", "texts_sha256", "recipe", "torch"),
    *("settings.corpus", "settings.features", "settings.task", "settings.combine"),
    "settings.training.metric",
)
"""What the page shows of ``head.json``."""


_Count = Annotated[int, Field(ge=0, lt=2**63)]


class _CorpusReport(Record):
    """What ``prepare`` counts; further counts are shown as they are."""

    model_config = ConfigDict(extra="allow")

    rows: _Count
    splits: dict[str, _Count]
    labels: dict[str, dict[str, dict[str, _Count | float]]] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorpusInput:
    """Files of a corpus that ``prepare`` wrote.

    Attributes:
        report: ``reports/corpora/<name>.json``.
        texts: inputs by id; empty where texts are left out.
    """

    name: str
    report: Mapping[str, Any]
    texts: Mapping[str, Text]


@dataclass(frozen=True)
class HeadInput:
    """Files of a head that ``train`` and ``evaluate`` wrote.

    Attributes:
        description: ``head.json``.
        label_type: what it learns.
        labels: the column that it learns; in folds, all rows are in test.
        predictions: of the seed that was kept, by id; in folds, out of fold.
        tables: ``history``, ``scores``, ``layers`` and ``calibration``, by name.
        digests: MD5 by path, of the files that the numbers come from.
    """

    name: str
    description: Mapping[str, Any]
    metrics: Mapping[str, Any]
    label_type: LabelType
    labels: Labels
    predictions: Predictions
    tables: Mapping[str, Rows]
    digests: Mapping[str, str]

    @property
    def corpus(self) -> str:
        """The corpus that the head reads."""
        return str(self.description["settings"]["corpus"])


@dataclass(frozen=True)
class StudyInput:
    """The tables of a study, by file name."""

    name: str
    tables: Mapping[str, Rows]


@dataclass(frozen=True)
class Inputs:
    """All that the page is made of.

    Attributes:
        features: ``reports/features/<name>.json`` by name.
    """

    corpora: list[CorpusInput] = field(default_factory=list)
    features: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    heads: list[HeadInput] = field(default_factory=list)
    studies: list[StudyInput] = field(default_factory=list)


@dataclass(frozen=True)
class Places:
    """The folders that are read, as ``dvc.yaml`` names them."""

    texts: Path
    labels: Path
    models: Path
    reports: Path
    studies: Path


def read_inputs(
    places: Places,
    *,
    corpora: Iterable[str],
    features: Iterable[str],
    heads: Iterable[str],
    texts: bool,
) -> Inputs:
    """Reads the rows that ``params.yaml`` names, sorted; what else lies there is not read.

    Args:
        places: the folders.
        corpora: names of corpora.
        features: names of features rows.
        heads: names of heads.
        texts: whether to read texts.

    Raises:
        DataError: a file is absent or is not what its stage writes.
    """
    labels = cache(read_labels)  # of one column for all heads that learn it
    return Inputs(
        corpora=[_corpus(places, name, texts=texts) for name in sorted(corpora)],
        features={
            name: _json(places.reports / "features" / f"{name}.json") for name in sorted(features)
        },
        heads=[_head(places, name, labels) for name in sorted(heads)],
        studies=read_studies(places.studies),
    )


def read_studies(folder: Path) -> list[StudyInput]:
    """The studies that are there, by name; there may be none. Hidden folders are none."""
    studies = []
    for path in sorted(folder.glob("[!.]*/")):
        tables = {name: _csv(path / name) for name in STUDY_TABLES if (path / name).is_file()}
        if tables:
            studies.append(StudyInput(path.name, tables))
    return studies


def _corpus(places: Places, name: str, *, texts: bool) -> CorpusInput:
    report = _json(places.reports / "corpora" / f"{name}.json", _CorpusReport)
    return CorpusInput(name, report, dict(read_texts(places.texts / name)) if texts else {})


def _head(places: Places, name: str, labels_of: Callable[[Path, str], Labels]) -> HeadInput:
    model, reports = places.models / name, places.reports / "heads" / name
    runs, description = read_head(model / "head.json", _SHOWN)
    corpus = description["settings"]["corpus"]
    try:
        column = member(places.labels, corpus)
    except UnsafeNameError as error:
        raise DataError(f"{model / 'head.json'}: the corpus {error}") from None
    labels = labels_of(column, runs.label)
    files = {
        run: path
        for run, path in run_files(model / "predictions", labels, seeds=runs.seeds).items()
        if run.seed == runs.kept.seed
    }
    if runs.kept not in files:
        raise DataError(f"{model / 'head.json'}: names no run of the head; run `dvc repro`")
    sources = {
        "texts": places.texts / corpus / TEXTS,
        "labels": places.labels / corpus / LABELS,
        "head": model / "head.json",
        **{path.name: path for path in files.values()},
    }
    metrics = read_metrics(reports / "metrics.json")
    digests = {what: _read(path, md5_file) for what, path in sources.items()}
    _check_scored(metrics, digests, sources)
    found = {run.fold: rows for run, rows in read_runs(files, labels, runs.label_type).items()}
    labels, predictions = out_of_fold(labels, found)
    return HeadInput(
        name=name,
        description=description,
        metrics=metrics,
        label_type=runs.label_type,
        labels=labels,
        predictions=predictions,
        tables={
            table: _numbers(reports / f"{table}.csv", columns)
            for table, columns in _HEAD_TABLES.items()
        },
        digests={sources[what].as_posix(): digest for what, digest in digests.items()},
    )


def _check_scored(
    metrics: Mapping[str, Any], digests: Mapping[str, str], sources: Mapping[str, Path]
) -> None:
    """Only ``reports/`` is a dependency of the report: so the rest must be what it speaks of."""
    scored = {row["file"]: row["md5"] for row in metrics.get("inputs", [])}
    for what, digest in digests.items():
        if scored.get(what) != digest:
            raise DataError(
                f"{sources[what]}: not the file that was scored; run `dvc repro` or `dvc checkout`"
            )


def _json(path: Path, model: type[Record] | None = None) -> dict[str, Any]:
    data = _read(path, read_bytes)
    try:
        found = parse_json(data)
        if model is not None:
            parse_record(model, data)
    except ValueError:
        raise DataError(f"{path}: not JSON, or of another version; run `dvc repro`") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: not a JSON object; run `dvc repro`")
    return found


def _csv(path: Path, columns: Sequence[str] = ()) -> Rows:
    """A table; where its columns are known, it must have these."""
    try:
        reader = csv.DictReader(io.StringIO(_read(path, read_text), newline=""), restval="")
        names = list(reader.fieldnames or ())
        # A line that is too long leaves a list under None: it is not what we write.
        rows = [{name: row[name] for name in names} for row in reader]
    except (UnicodeDecodeError, csv.Error):
        names, rows = [], []
    if not names or (columns and names != list(columns)):
        raise DataError(f"{path}: not a table of this version; run `dvc repro`")
    return rows


def _numbers(path: Path, columns: Sequence[str]) -> Rows:
    """A table of these columns, which hold numbers, and of layers their names."""
    rows = _csv(path, columns)
    if any(_number(row[name]) is None for row in rows for name in columns if name != "layer"):
        raise DataError(f"{path}: not a table of this version; run `dvc repro`")
    return rows


def _number(cell: str) -> float | None:
    """A cell's number; none where there is none, or none that is finite."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read(path: Path, read: Callable[[Path], Read]) -> Read:
    try:
        return read(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc pull` or `dvc repro`") from None
