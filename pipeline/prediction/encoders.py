"""Finds the encoder that a head's features were made with, by its content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import EncoderError
from pipeline.encoder.snapshot import DESCRIPTION, read_snapshot
from pipeline.store.keys import Recipe


def find_encoder(recipe: Mapping[str, Any], root: Path) -> Path:
    """The folder of an encoder whose files are those that a recipe names.

    Args:
        recipe: of the features, as ``head.json`` has it.
        root: folder of encoders.

    Raises:
        EncoderError: there is none.
    """
    wanted = Recipe.from_json(dict(recipe)).encoder
    for path in sorted(root.glob(f"*/{DESCRIPTION}")):
        if read_snapshot(path.parent, verify=False).fingerprint() == wanted:
            return path.parent
    raise EncoderError(
        f"{root}: holds no encoder that the head's features were made with; name its folder with "
        "'encoder', or bring it here with `dvc pull` or `dvc repro`"
    )
