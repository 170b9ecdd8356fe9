"""Files of predictions: what ``train`` and ``probe`` write for each row of dev and test.

A row is ``{"id", "split", ...}`` and, by the kind of label:

``class``        ``"label": str, "probabilities": {label: float}``
``classes``      ``"labels": [str, ...], "probabilities": {label: float}``
``number``       ``"value": float``
``tags``, ``bio``  ``"tags": [str | null, ...], "probabilities": [float | null, ...]``, an entry per
                 word; ``null`` for a word that has no token.

A head has a file per run. In folds, a row is in dev of one fold's run and in test of another's; the
probe, which has no seeds, has the rows of all folds in one file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.core.errors import DataError
from pipeline.corpus.folds import Fold, Run, by_fold, run_names
from pipeline.corpus.storage import Labels

SPLITS = ("dev", "test")
Predictions: TypeAlias = dict[str, Mapping[str, Any]]
"""Rows by id."""


@dataclass(frozen=True)
class HeadRuns:
    """Runs of a head, as its ``head.json`` names them.

    Attributes:
        label: the label column that the head learnt.
        seeds: that it was trained with.
        kept: the run whose weights the head has.
    """

    label: str
    seeds: tuple[int, ...]
    kept: Run


def read_head_runs(path: Path) -> HeadRuns:
    """Read from ``head.json`` what there is to score; imports neither torch nor settings of heads.

    Raises:
        DataError: the file is absent or damaged.
    """
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        settings = head["settings"]
        runs = HeadRuns(
            label=settings["label"],
            seeds=tuple(settings["training"]["seeds"]),
            kept=Run(head["fold"], head["seed"]),
        )
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: is damaged, or of another version; run `dvc repro`") from None
    return runs


def run_files(folder: Path, labels: Labels, *, seeds: Sequence[int]) -> dict[Run, Path]:
    """Where the predictions of every run of a head are: one per seed, and with each per fold.

    Args:
        folder: of the files.
        labels: what was predicted.
        seeds: that the head was trained with.

    Raises:
        DataError: there are too few folds.
    """
    runs = [Run(fold, seed) for fold in by_fold(labels) for seed in sorted(seeds)]
    return {run: folder / f"{name}.jsonl" for run, name in run_names(runs).items()}


def read_runs(files: Mapping[Run, Path], labels: Labels) -> dict[Run, Predictions]:
    """Reads the predictions of some runs of a head.

    Raises:
        DataError: a file is absent, or is not of the rows of its run's dev and test.
    """
    seen = by_fold(labels)
    return {run: read_predictions(path, seen[run.fold]) for run, path in files.items()}


def read_probe(path: Path, labels: Labels) -> dict[Fold, Predictions]:
    """Reads the predictions of a linear probe: in folds, those of each.

    Raises:
        DataError: see ``read_predictions``.
    """
    seen = by_fold(labels)
    if None in seen:
        return {None: read_predictions(path, labels)}
    rows = _read_rows(path)
    found = {}
    for fold, own in seen.items():
        split_of = dict(zip(own.ids, own.splits, strict=True))
        mine = [row for row in rows if row.get("split") == split_of.get(str(row.get("id")))]
        found[fold] = by_id(mine, own, where=str(path))
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


def read_predictions(path: Path, labels: Labels) -> Predictions:
    """Reads one file of predictions and checks it against the labels.

    Raises:
        DataError: the file is absent, is not JSON, or is not of the labels' dev and test rows.
    """
    return by_id(_read_rows(path), labels, where=str(path))


def by_id(
    rows: Sequence[Mapping[str, Any]], labels: Labels, *, where: str = "the predictions"
) -> Predictions:
    """Checked predictions by id.

    Args:
        rows: of a file of predictions, in any order.
        labels: what was predicted.
        where: the file, for errors.

    Raises:
        DataError: the rows are not those of dev and test, or one lacks what its kind of label has.
    """
    found = {str(row.get("id")): row for row in rows}
    expected = {
        row_id: value
        for row_id, split, value in zip(labels.ids, labels.splits, labels.values, strict=True)
        if split in SPLITS
    }
    if set(found) != set(expected) or len(found) != len(rows):
        raise DataError(f"{where}: not of the labels' dev and test rows; run `dvc repro`")
    field, is_whole = _WHOLE[labels.kind]
    for row_id, value in expected.items():
        if not is_whole(found[row_id], value):
            raise DataError(
                f"{where}: the prediction of {row_id!r} has no {field}; run `dvc repro`"
            )
    return found


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc repro`") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise DataError(f"{path}:{number}: not JSON; run `dvc repro`") from None
    return rows


def _whole_class(row: Mapping[str, Any], _gold: object) -> bool:
    return row.get("label") in row.get("probabilities", {})


def _whole_classes(row: Mapping[str, Any], _gold: object) -> bool:
    return set(row.get("labels", [None])) <= set(row.get("probabilities", {}))


def _whole_number(row: Mapping[str, Any], _gold: object) -> bool:
    value = row.get("value")
    return isinstance(value, int | float) and math.isfinite(value)


def _whole_tags(row: Mapping[str, Any], gold: Any) -> bool:
    return len(row.get("tags", "")) == len(row.get("probabilities", "")) == len(gold) and (
        "tags" in row
    )


_WHOLE: dict[str, tuple[str, Callable[[Mapping[str, Any], Any], bool]]] = {
    "class": ("label with its probability", _whole_class),
    "classes": ("labels with their probabilities", _whole_classes),
    "number": ("finite value", _whole_number),
    "tags": ("tag and probability per word", _whole_tags),
    "bio": ("tag and probability per word", _whole_tags),
}
"""By kind of label: what a prediction must have, in words, and whether it does."""
