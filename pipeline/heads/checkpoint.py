"""A trained head on disk: weights as safetensors, and beside them JSON that says what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.core.errors import DataError, StoreError
from pipeline.core.files import readable_json
from pipeline.heads.model import Head
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.registry import label_type_named

WEIGHTS = "head.safetensors"
DESCRIPTION = "head.json"
_NEEDED = {"settings", "width", "labels", "layers", "thresholds", "recipe"}


def save_head(folder: Path, head: Head, description: dict[str, Any]) -> None:
    """Writes a head's weights and description into an existing folder.

    The weights carry no metadata: with more than one key its order, and so the bytes, would vary.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)
    (folder / DESCRIPTION).write_text(readable_json(description), encoding="utf-8")


def load_head(folder: Path, *, device: torch.device) -> tuple[Head, dict[str, Any]]:
    """Reads a head back, ready to predict, with its description.

    Raises:
        StoreError: the folder holds no head, or half of one, or that of another version.
    """
    description = read_description(folder)
    weights = folder / WEIGHTS
    try:
        tensors = load_file(weights)
        settings = HeadSettings.model_validate_json(json.dumps(description["settings"]))
        stored = label_type_named(str(description.get("label_type", description.get("kind"))))
        label_type = settings.label_type(stored.column_kind)
        head = Head.build(settings, label_type, description["labels"], width=description["width"])
        head.load_state_dict(tensors)
    except FileNotFoundError:
        raise StoreError(f"{weights}: no such file; run `dvc repro` or `dvc pull`") from None
    except (
        SafetensorError,
        ValidationError,
        DataError,
        RuntimeError,
    ):  # the last: other names or shapes
        raise _unreadable(folder) from None
    return head.to(device).eval(), description


def read_description(folder: Path) -> dict[str, Any]:
    """Description of a head: what it is and what made it.

    Raises:
        StoreError: the folder holds no head, or that of another version.
    """
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None
    except ValueError:
        raise _unreadable(folder) from None
    if not isinstance(description, dict) or not description.keys() >= _NEEDED:
        raise _unreadable(folder)
    return description


def _unreadable(folder: Path) -> StoreError:
    return StoreError(
        f"{folder}: is damaged, or made by another version; run `dvc repro` or `dvc checkout`"
    )
