"""The input of an example: a text, words that are already split, or a pair of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two raw texts that one label is about, like a premise and a hypothesis; order matters."""

    first: str
    second: str


Text: TypeAlias = str | tuple[str, ...] | TextPair
"""The input of one example: raw text, words that are already split, or a pair of raw texts."""

Label: TypeAlias = str | tuple[str, ...] | float
"""One class per example; its classes, or one tag per word; or a number."""


def parts(text: Text) -> tuple[str, ...]:
    """The strings that an input is made of, in order: one text, each word, or both of a pair."""
    if isinstance(text, TextPair):
        return text.first, text.second
    return (text,) if isinstance(text, str) else text


def fields(text: Text) -> dict[str, str | tuple[str, ...]]:
    """An input as the fields of a JSON row: ``text``, ``words``, or ``text`` and ``text_b``."""
    if isinstance(text, TextPair):
        return {"text": text.first, "text_b": text.second}
    return {"text" if isinstance(text, str) else "words": text}
