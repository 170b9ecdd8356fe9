"""Recipes made real: the tokenizer, the windows and the encoder that give a recipe's rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.windows import Windows
from pipeline.store.keys import Recipe

if TYPE_CHECKING:
    import torch

    from pipeline.encoder.forward import FrozenEncoder


def tokenizer_of(
    encoder_folder: Path, recipe: Recipe, *, trust_remote_code: bool = False
) -> RowTokenizer:
    """Gives rows whole where they are read in windows, and cut where they are not."""
    return RowTokenizer(
        encoder_folder,
        max_length=None if recipe.stride is not None else recipe.max_length,
        trust_remote_code=trust_remote_code,
    )


def windows_of(recipe: Recipe) -> Windows | None:
    """Windows in which long rows are read, where they are not cut."""
    return None if recipe.stride is None else Windows(recipe.max_length, recipe.stride)


def encoder_of(
    encoder_folder: Path,
    recipe: Recipe,
    *,
    layers: Sequence[int],
    device: torch.device,
    trust_remote_code: bool = False,
) -> FrozenEncoder:
    """Loads the encoder in the recipe's precision; imports torch and transformers."""
    import torch

    from pipeline.encoder.forward import FrozenEncoder

    return FrozenEncoder(
        encoder_folder,
        layers=layers,
        device=device,
        dtype=getattr(torch, recipe.compute_dtype),
        trust_remote_code=trust_remote_code,
    )
