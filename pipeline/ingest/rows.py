"""Rows of raw files as a format reads them, and the examples that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipeline.corpus.texts import Label, Text


class Place(NamedTuple):
    """Place in a raw corpus: a file, and its line from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """One row as a format reads it: its fields by name, nothing checked yet.

    Attributes:
        place: the line that the row begins on.
        number: the row's id where the corpus has no field of ids.
        values: strings where the file holds nothing but text; else what JSON has, too.
        split: the split that the row's file belongs to.
        word_lines: the line of each word, where words have lines of their own.
    """

    place: Place
    number: str
    values: Mapping[str, Any]
    split: str | None = None
    word_lines: Sequence[int] = ()

    def place_of(self, word: int) -> Place:
        """Place of a word."""
        return Place(self.place.file, self.word_lines[word]) if self.word_lines else self.place


@dataclass(frozen=True, slots=True)
class Example:
    """One example, checked: its input, and its labels as they are stored.

    Attributes:
        id: unique in the corpus.
        text: the input.
        labels: by name.
        line: the line that it begins on, from 1.
        file: the file that it is in.
        split: its split, where the data says so.
        group: examples with the same group stay together in drawn splits.
    """

    id: str
    text: Text
    labels: Mapping[str, Label]
    line: int
    file: str = ""
    split: str | None = None
    group: str | None = None
