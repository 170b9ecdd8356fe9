"""What a corpus is made of, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Text: TypeAlias = str | tuple[str, ...]
"""The input of one example: raw text, or words that are already split."""

Label: TypeAlias = str | tuple[str, ...]
"""One class per example, or one tag per word."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example as read from a raw file, with the line it starts on (from 1)."""

    id: str
    text: Text
    labels: Mapping[str, Label]
    line: int
