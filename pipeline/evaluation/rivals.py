"""Rivals of a head: models that are cheaper than it, and scored on the same rows.

The baseline follows from the training labels alone, and is computed where it is scored. The others
are fitted by the stage ``probe``, which leaves two files of each in one folder: ``<key>.jsonl``,
its predictions, and ``<key>.json``, with its name in words under ``name``. What is not there is no
rival of that head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict

from pipeline.core.errors import DataError
from pipeline.core.reading import Record, parse_record, read_bytes
from pipeline.corpus.folds import Fold
from pipeline.corpus.storage import Labels
from pipeline.evaluation.predictions import Predictions, read_fold_predictions
from pipeline.tasks.label_type import LabelType

TITLES = {
    "baseline": "baseline",
    "tfidf": "TF-IDF",
    "cosine": "cosine",
    "probe": "linear probe",
}
"""Keys in ``metrics.json`` and titles of columns, in the order in which they are shown."""

FITTED = tuple(key for key in TITLES if key != "baseline")


@dataclass(frozen=True)
class Rival:
    """A rival that was fitted.

    Attributes:
        name: in words.
        predictions: checked ones of dev and test by id; in folds, those of each.
    """

    name: str
    predictions: Mapping[Fold, Predictions]


class _Description(Record):
    model_config = ConfigDict(extra="ignore")

    name: str


def read_rivals(folder: Path, labels: Labels, label_type: LabelType) -> dict[str, Rival]:
    """Reads the rivals of a head that are in a folder, by key.

    Raises:
        DataError: a file is damaged, or not of the labels' dev and test rows; or there is none.
    """
    rivals = {}
    for key in FITTED:
        path = folder / f"{key}.json"
        if not path.is_file():
            continue
        try:
            described = parse_record(_Description, read_bytes(path))
        except ValueError:
            raise DataError(f"{path}: is damaged, or of another version; run `dvc repro`") from None
        predictions = read_fold_predictions(folder / f"{key}.jsonl", labels, label_type)
        rivals[key] = Rival(described.name, predictions)
    if not rivals:
        raise DataError(f"{folder}: holds no rival; run `dvc repro`")
    return rivals
