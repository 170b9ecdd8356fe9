"""Files of a trained head: weights, description, and predictions of each run."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.files import canonical_json
from pipeline.heads.checkpoint import save_head
from pipeline.training.fit import FittedHead

PREDICTIONS = "predictions"
"""Folder below a head's with a file per run."""


def write_model(folder: Path, fitted: FittedHead) -> None:
    """Write a head into an existing folder."""
    save_head(folder, fitted.head, fitted.description)
    (folder / PREDICTIONS).mkdir()
    for run, rows in fitted.predictions.items():
        path = folder / PREDICTIONS / f"{run}.jsonl"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(canonical_json(row) + "\n" for row in rows)
