"""The recipe of features as JSON: its keys, and what each may hold."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.core.paths import is_member_name
from pipeline.core.reading import Record
from pipeline.features import layout

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal."""


def _file_name(name: str) -> str:
    if not is_member_name(name):
        raise ValueError("is not the name of a file")
    return name


FileDigests = dict[Annotated[str, AfterValidator(_file_name)], Digest]
"""SHA-256 of files by their names."""


class EncoderDigests(Record):
    """Digests of an encoder's files, by role."""

    weights: FileDigests
    config: FileDigests
    tokenizer: FileDigests
    code: FileDigests = Field(default_factory=dict)


class RecipeRecord(Record):
    """Everything besides the text that decides a row's values at a given layer."""

    format: Literal[1]
    extractor: int = Field(ge=1, le=1_000_000)
    encoder: EncoderDigests
    max_length: int = Field(ge=1, le=layout.LONGEST_ROW)
    long_texts: Literal["window", "truncate", "error"]
    compute_dtype: Literal["float32", "bfloat16", "float16", "int8"]
    storage_dtype: Literal["float16", "float32"]
    stride: int | None = Field(default=None, ge=0, le=layout.LONGEST_ROW)

    @model_validator(mode="after")
    def _windows_move(self) -> Self:
        if (self.stride is None) == (self.long_texts == "window"):
            raise ValueError("windows have a stride, and nothing else has")
        if self.stride is not None and self.stride >= self.max_length - 2:
            raise ValueError("windows do not move")
        return self
