"""The settings of one row of ``features`` in ``params.yaml``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.params import Section


class FeaturesSettings(Section):
    """A corpus read by an encoder: which layers are kept, and how texts become rows."""

    corpus: str
    encoder: str
    layers: tuple[int, ...] = Field(min_length=1)
    max_length: int = Field(ge=4)
    long_texts: Literal["truncate", "error"]
    storage_dtype: Literal["float16", "float32"]
    shard_tokens: int = Field(ge=256)

    @model_validator(mode="after")
    def _layers_differ(self) -> Self:
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("'layers' names a layer twice")
        return self
