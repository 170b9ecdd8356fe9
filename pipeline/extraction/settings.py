"""The settings of one row of ``features`` in ``params.yaml``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Section

Pairs = Literal["together", "apart"]


class FeaturesSettings(Section):
    """A corpus read by an encoder: which layers are kept, and how texts become rows.

    ``max_length`` is that of a window where ``long_texts`` is ``window``, and ``stride`` how many
    tokens neighbouring windows share. ``pairs`` says whether the encoder reads the texts of a pair
    together, as one row, or apart, each a row of its own, as if it stood alone.
    """

    corpus: str
    encoder: str
    layers: tuple[int, ...] = Field(min_length=1)
    max_length: int = Field(ge=4)
    long_texts: Literal["window", "truncate", "error"]
    stride: int | None = Field(default=None, ge=0)
    pairs: Pairs = "together"
    compute_dtype: Literal["float32", "bfloat16", "float16", "int8"] = "float32"
    storage_dtype: Literal["float16", "float32"]
    shard_tokens: int = Field(ge=256)

    @model_validator(mode="after")
    def _layers_differ(self) -> Self:
        if len(set(self.layers)) != len(self.layers):
            raise ValueError("'layers' names a layer twice")
        return self

    @model_validator(mode="after")
    def _windows_move(self) -> Self:
        if (self.stride is None) == (self.long_texts == "window"):
            raise ValueError(
                "'stride' is the number of tokens that neighbouring windows share: "
                "long_texts: window needs it, and nothing else does"
            )
        if self.stride is not None and self.stride >= self.max_length - 2:
            raise ValueError(
                f"windows of {self.max_length} tokens, 2 of them special, that share {self.stride} "
                "do not move; use a smaller stride"
            )
        return self
