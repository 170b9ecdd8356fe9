"""A trained head on disk: weights as safetensors, and beside them JSON that says what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipeline.core.errors import DataError, StoreError
from pipeline.core.files import canonical_json, readable_json
from pipeline.core.reading import parse_record
from pipeline.heads.constraints import check_tags
from pipeline.heads.model import Head
from pipeline.heads.settings import HeadSettings
from pipeline.heads.weights import read_weights, weight_shapes, write_weights
from pipeline.tasks.head_record import HeadRecord, read_head_record

WEIGHTS = "head.safetensors"
DESCRIPTION = "head.json"
_NEEDED = ("settings", "width", "labels", "layers", "thresholds", "recipe")


def save_head(folder: Path, head: Head, description: dict[str, Any]) -> None:
    """Writes a head's weights and description into an existing folder."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    write_weights(folder / WEIGHTS, tensors)
    (folder / DESCRIPTION).write_text(readable_json(description), encoding="utf-8")


def load_head(folder: Path, *, device: torch.device) -> tuple[Head, dict[str, Any]]:
    """Reads a head back, ready to predict, with its description.

    Nothing is built before the weights are known to be those of such a head: a description that
    asks for more costs nothing.

    Raises:
        StoreError: the folder holds no head, or half of one, or that of another version.
    """
    record, description = _read(folder)
    weights = folder / WEIGHTS
    try:
        settings = parse_record(HeadSettings, canonical_json(description["settings"]))
        label_type = settings.label_type(record.learns.column_kind)
        labels, width = description["labels"], description["width"]
        check_tags(labels, label_type.scheme)
        apart = record.pairs_apart
        shapes = weight_shapes(settings, label_type, labels, width=width, pairs_apart=apart)
        tensors = read_weights(weights, shapes)
        head = Head.build(settings, label_type, labels, width=width, pairs_apart=apart)
        head.load_state_dict(tensors)
    except FileNotFoundError:
        raise StoreError(f"{weights}: no such file; run `dvc repro` or `dvc pull`") from None
    except (DataError, ValueError):
        raise _unreadable(folder) from None
    return head.to(device).eval(), description


def read_description(folder: Path) -> dict[str, Any]:
    """Description of a head: what it is and what made it.

    Raises:
        StoreError: the folder holds no head, or that of another version.
    """
    return _read(folder)[1]


def _read(folder: Path) -> tuple[HeadRecord, dict[str, Any]]:
    path = folder / DESCRIPTION
    try:
        return read_head_record(path, _NEEDED)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None
    except ValueError:
        raise _unreadable(folder) from None


def _unreadable(folder: Path) -> StoreError:
    return StoreError(
        f"{folder}: is damaged, or made by another version; run `dvc repro` or `dvc checkout`"
    )
