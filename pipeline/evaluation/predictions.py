"""Files of predictions: what ``train`` and ``probe`` write for each row of dev and test.

A row is ``{"id", "split", ...}`` and, by the kind of label:

``class``        ``"label": str, "probabilities": {label: float}``
``classes``      ``"labels": [str, ...], "probabilities": {label: float}``
``number``       ``"value": float``
``tags``, ``bio``  ``"tags": [str | null, ...], "probabilities": [float | null, ...]``, an entry per
                 word; ``null`` for a word that has no token.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.corpus.storage import Labels
from pipeline.errors import DataError

SPLITS = ("dev", "test")
Predictions: TypeAlias = dict[str, Mapping[str, Any]]
"""Rows by id."""

_SEED_FILE = re.compile(r"seed_([0-9]+)\.jsonl")


def read_seeds(folder: Path, labels: Labels, *, kept: int) -> dict[int, Predictions]:
    """Reads the predictions of every seed in a folder, ``seed_<n>.jsonl`` each, in ascending order.

    Args:
        folder: of the files.
        labels: what was predicted.
        kept: the seed of the head that was kept.

    Raises:
        DataError: the kept seed has no file, or a file is not of the labels' rows.
    """
    found = {
        int(match.group(1)): path
        for path in folder.glob("seed_*.jsonl")
        if (match := _SEED_FILE.fullmatch(path.name))
    }
    if kept not in found:
        raise DataError(f"{folder / f'seed_{kept}.jsonl'}: no such file; run `dvc repro`")
    return {seed: read_predictions(found[seed], labels) for seed in sorted(found)}


def read_predictions(path: Path, labels: Labels) -> Predictions:
    """Reads one file of predictions and checks it against the labels.

    Raises:
        DataError: the file is absent, is not JSON, or is not of the labels' dev and test rows.
    """
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
    return by_id(rows, labels, where=str(path))


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
