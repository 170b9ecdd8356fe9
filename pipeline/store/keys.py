"""Recipes, row keys and shard names: what decides a row's values, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipeline.core.errors import StoreError
from pipeline.core.files import canonical_json
from pipeline.core.reading import first_problem
from pipeline.corpus.texts import Text, TextPair, parts
from pipeline.features import layout
from pipeline.features.recipe import RecipeRecord


@dataclass(frozen=True)
class Recipe:
    """Settings besides the text that decide a row's values at a given layer.

    Which layers are kept is not part of it, nor are device, torch version and type of CPU: they
    are logged beside the shards, outside the hashed bytes.

    Attributes:
        encoder: SHA-256 of each file of the encoder, by role.
        max_length: longest row in tokens, special tokens included.
        long_texts: what happened to longer texts.
        compute_dtype: precision of the forward pass.
        storage_dtype: precision of the stored states.
        stride: tokens that neighbouring windows share, where long texts are read in windows.
    """

    encoder: dict[str, dict[str, str]]
    max_length: int
    long_texts: str
    compute_dtype: str
    storage_dtype: str
    stride: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The recipe as the manifest holds it."""
        content = {
            "format": layout.FORMAT_VERSION,
            "extractor": layout.EXTRACTOR_VERSION,
            "encoder": self.encoder,
            "max_length": self.max_length,
            "long_texts": self.long_texts,
            "compute_dtype": self.compute_dtype,
            "storage_dtype": self.storage_dtype,
        }
        return content if self.stride is None else content | {"stride": self.stride}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Recipe:
        """The recipe that a manifest, or a head, holds.

        Raises:
            StoreError: it holds something else.
        """
        try:
            record = RecipeRecord.model_validate(content)
        except ValidationError as error:
            raise StoreError(f"no recipe of features: {first_problem(error):.200}") from None
        return cls(**record.model_dump(exclude={"format", "extractor"}, exclude_unset=True))

    def digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON, in hexadecimal."""
        return hashlib.sha256(canonical_json(self.as_json()).encode("utf-8")).hexdigest()


def row_key(recipe_digest: str, text: Text) -> bytes:
    """The 32-byte key of one input under a recipe.

    Text, words and pairs are different inputs even where they read alike: they tokenise
    differently.
    """
    content: list[Any]
    if isinstance(text, str):
        content = ["text", text]
    else:
        content = ["pair" if isinstance(text, TextPair) else "words", parts(text)]
    return hashlib.sha256(f"{recipe_digest}\n{canonical_json(content)}".encode()).digest()


def shard_name(keys: Sequence[bytes]) -> str:
    """The name of the shard that holds these rows in this order."""
    digest = hashlib.sha256()
    for key in keys:
        digest.update(key)
    return digest.hexdigest()[: layout.NAME_DIGITS]
