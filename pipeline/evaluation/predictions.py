"""Files of predictions: what ``train`` and ``probe`` write for each row of dev and test.

A row is ``{"id", "split", ...}`` and, by the kind of label:

``class``        ``"label": str, "probabilities": {label: float}``
``classes``      ``"labels": [str, ...], "probabilities": {label: float}``
``number``       ``"value": float``
``tags``, ``bio``  ``"tags": [str | null, ...], "probabilities": [float | null, ...]``, an entry per
                 word; ``null`` for a word that has no token.

A head has a file per run. In folds, a row is in dev of one fold's run and in test of another's; a
rival, which has no seeds, has the rows of all folds in one file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.core.errors import DataError
from pipeline.core.reading import open_regular, parse_json
from pipeline.corpus.folds import Fold, Run, by_fold, run_names
from pipeline.corpus.storage import Labels
from pipeline.tasks.head_record import read_head_record
from pipeline.tasks.label_type import LabelType

SPLITS = ("dev", "test")
_MOST_BYTES = 1 << 26
"""Bytes of a line: what is longer is cut there, and is no JSON then."""

Predictions: TypeAlias = dict[str, Mapping[str, Any]]
"""Rows by id."""


@dataclass(frozen=True)
class HeadRuns:
    """Runs of a head, as its ``head.json`` names them.

    Attributes:
        label: the label column that the head learnt.
        label_type: what it learnt of it.
        seeds: that it was trained with.
        kept: the run whose weights the head has.
        best_epoch: of that run, from 1.
        losses: of that run, ``train`` and ``dev``, one per epoch; ``None`` where it was trained by
            a version that did not note them.
    """

    label: str
    label_type: LabelType
    seeds: tuple[int, ...]
    kept: Run
    best_epoch: int = 0
    losses: Mapping[str, Sequence[float]] | None = None


def read_head_runs(path: Path) -> HeadRuns:
    """Read from ``head.json`` what there is to score; imports neither torch nor settings of heads.

    Raises:
        DataError: the file is absent or damaged.
    """
    return read_head(path)[0]


def read_head(path: Path, needed: Iterable[str] = ()) -> tuple[HeadRuns, dict[str, Any]]:
    """Read ``head.json``: what there is to score, and all that it holds.

    Args:
        path: the file.
        needed: what must be there besides; see ``read_head_record``.

    Raises:
        DataError: the file is absent or damaged.
    """
    try:
        record, content = read_head_record(path, ("fold", "seed", *needed))
        runs = HeadRuns(
            label=record.settings.label,
            label_type=record.learns,
            seeds=record.settings.training.seeds,
            kept=Run(record.fold, -1 if record.seed is None else record.seed),
            best_epoch=record.best_epoch,
            losses=record.losses.model_dump() if record.losses else None,
        )
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except (DataError, ValueError):
        raise DataError(f"{path}: is damaged, or of another version; run `dvc repro`") from None
    return runs, content


def run_files(folder: Path, labels: Labels, *, seeds: Sequence[int]) -> dict[Run, Path]:
    """Prediction files of every run of a head: one per seed, and with each per fold.

    Args:
        folder: of the files.
        labels: what was predicted.
        seeds: that the head was trained with.

    Raises:
        DataError: there are too few folds.
    """
    runs = [Run(fold, seed) for fold in by_fold(labels) for seed in sorted(seeds)]
    return {run: folder / f"{name}.jsonl" for run, name in run_names(runs).items()}


def read_runs(
    files: Mapping[Run, Path], labels: Labels, label_type: LabelType
) -> dict[Run, Predictions]:
    """Reads the predictions of some runs of a head.

    Raises:
        DataError: a file is absent, or is not of the rows of its run's dev and test.
    """
    seen = by_fold(labels)
    return {run: read_predictions(path, seen[run.fold], label_type) for run, path in files.items()}


def read_fold_predictions(
    path: Path, labels: Labels, label_type: LabelType
) -> dict[Fold, Predictions]:
    """Reads the predictions of a model that has no seeds: in folds, those of each.

    Raises:
        DataError: see ``read_predictions``.
    """
    seen = by_fold(labels)
    if None in seen:
        return {None: read_predictions(path, labels, label_type)}
    rows = _read_rows(path)
    found = {}
    for fold, own in seen.items():
        split_of = dict(zip(own.ids, own.splits, strict=True))
        mine = [row for row in rows if row.get("split") == split_of.get(row["id"])]
        found[fold] = by_id(mine, own, label_type, where=str(path))
    return found


def out_of_fold(
    labels: Labels, predictions: Mapping[Fold, Predictions]
) -> tuple[Labels, Predictions]:
    """The labels and predictions of all folds as those of one test split.

    Each row is as that run predicted it which had it in test. Without folds, labels and
    predictions are as they are.

    Args:
        labels: as stored.
        predictions: of one run per fold.
    """
    if None in predictions:
        return labels, predictions[None]
    tested = {
        row_id: predictions[fold][row_id]
        for fold, seen in by_fold(labels).items()
        for row_id, split in zip(seen.ids, seen.splits, strict=True)
        if split == "test"
    }
    return replace(labels, splits=["test"] * len(labels.splits)), tested


def read_predictions(path: Path, labels: Labels, label_type: LabelType) -> Predictions:
    """Reads one file of predictions and checks it against the labels.

    Raises:
        DataError: the file is absent, is not JSON, or is not of the labels' dev and test rows.
    """
    return by_id(_read_rows(path), labels, label_type, where=str(path))


def by_id(
    rows: Sequence[Mapping[str, Any]],
    labels: Labels,
    label_type: LabelType,
    *,
    where: str = "the predictions",
) -> Predictions:
    """Checked predictions by id.

    Args:
        rows: of a file of predictions, in any order.
        labels: what was predicted.
        label_type: what the head learnt.
        where: the file, for errors.

    Raises:
        DataError: the rows are not those of dev and test, or one lacks what its kind of label has.
    """
    found = {row["id"]: row for row in rows}
    expected = {
        row_id: value
        for row_id, split, value in zip(labels.ids, labels.splits, labels.values, strict=True)
        if split in SPLITS
    }
    if set(found) != set(expected) or len(found) != len(rows):
        raise DataError(f"{where}: not of the labels' dev and test rows; run `dvc repro`")
    for row_id, value in expected.items():
        if not label_type.is_complete(found[row_id], value):
            raise DataError(
                f"{where}: the prediction of {row_id!r} has no {label_type.requirement}; "
                "run `dvc repro`"
            )
    return found


def _read_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        with open_regular(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(_MOST_BYTES), b""), start=1):
                try:
                    row = parse_json(line)
                except ValueError:
                    raise DataError(f"{path}:{number}: not JSON; run `dvc repro`") from None
                if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                    raise DataError(f"{path}:{number}: not a prediction; run `dvc repro`")
                rows.append(row)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    return rows
