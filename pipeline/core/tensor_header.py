"""Headers of safetensors files: what they hold, before any of it takes memory.

The format is eight bytes with the length of the header, the header as JSON, and the tensors.
"""

from __future__ import annotations

import os
from typing import Annotated, BinaryIO

from pydantic import Field, RootModel, ValidationError

from pipeline.core.reading import Record, first_problem, parse_json

_Count = Annotated[int, Field(ge=0)]


class TensorEntry(Record):
    """A tensor: its type as safetensors calls it, and where its bytes are behind the header."""

    dtype: str
    shape: tuple[_Count, ...]
    data_offsets: tuple[_Count, _Count]


class _Header(RootModel[dict[str, TensorEntry]]):
    """A header, without its metadata."""


def read_tensor_header(file: BinaryIO, *, limit: int) -> tuple[dict[str, TensorEntry], int]:
    """Tensors by name, and how many bytes there are for all of them.

    Args:
        file: open at its beginning.
        limit: most bytes of the header.

    Raises:
        ValueError: it is no whole file of safetensors; the text is one line.
    """
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(limit, size - 8):
        raise ValueError("its header has no length that a header can have")
    content = parse_json(file.read(length))
    if isinstance(content, dict):
        content.pop("__metadata__", None)  # what others may write beside the tensors
    try:
        entries = _Header.model_validate(content, strict=False).root
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    data = size - 8 - length
    for entry in entries.values():
        begin, end = entry.data_offsets
        if not begin <= end <= data:
            raise ValueError("it ends before its tensors do")
    return entries, data
