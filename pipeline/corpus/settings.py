"""The settings of one row of ``corpora`` in ``params.yaml``."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.corpus.schemes import Scheme
from pipeline.params import Section

LabelKind = Literal["class", "classes", "number", "tags", "iob1", "iob2", "bioes"]
WORD_KINDS = frozenset({"tags", "iob1", "iob2", "bioes"})
"""Kinds with one tag per word."""

SCHEMES: dict[LabelKind, Scheme] = {"iob1": "iob1", "iob2": "iob2", "bioes": "bioes"}
"""The scheme of each kind of entity tags."""

STORED_KIND: dict[LabelKind, str] = {
    "class": "class",
    "classes": "classes",
    "number": "number",
    "tags": "tags",
    "iob1": "bio",
    "iob2": "bio",
    "bioes": "bio",
}
"""What ``prepare`` makes of each kind: entity tags become BIO, whatever scheme they came in."""

SPLITS = ("train", "dev", "test")


class SplitSettings(Section):
    """Fractions of the rows; they add up to 1."""

    train: float = Field(gt=0, lt=1)
    dev: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.dev + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train, dev and test must add up to 1, not {total:.9g}")
        return self


class CorpusSettings(Section):
    """A body of text with label columns and a split.

    Exactly one of ``text`` (raw text) and ``words`` (a list of words) names the input field; with
    ``text``, ``text_b`` may name the field of a second raw text, read as a pair with the first.
    ``labels`` maps label fields to what they hold: per row one ``class``, any number of ``classes``
    or a ``number``; per word a plain tag (``tags``), or an entity tag in the scheme ``iob1``,
    ``iob2`` or ``bioes``. ``broken_tags`` says what an entity tag that does not fit its neighbours
    is: an error, or repaired and counted.
    """

    path: str = Field(min_length=1)
    format: Literal["jsonl", "conll"]
    columns: tuple[str, ...] | None = None
    id: str | None
    text: str | None = None
    text_b: str | None = None
    words: str | None = None
    labels: dict[str, LabelKind] = Field(min_length=1)
    broken_tags: Literal["error", "repair"] = "error"
    split: SplitSettings
    stratify: str | None
    seed: int = Field(ge=0)

    @property
    def input_field(self) -> str:
        """Name of the field that holds the text, the first text of a pair, or the words."""
        return self.text or self.words or ""

    @model_validator(mode="after")
    def _has_one_input(self) -> Self:
        if (self.text is None) == (self.words is None):
            raise ValueError("name either the field of raw 'text' or the field of 'words'")
        if self.text_b is not None and self.text is None:
            raise ValueError(
                "'text_b' is the second text of a pair: it goes with 'text', in format jsonl, "
                "not with 'words'"
            )
        return self

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if self.format == "conll":
            if not self.columns:
                raise ValueError("format conll needs 'columns', the names of its columns in order")
            if len(set(self.columns)) != len(self.columns):
                raise ValueError("'columns' names a column twice")
            if self.words is None or self.id is not None:
                raise ValueError("format conll holds 'words', and 'id' must be null")
            missing = {self.words, *self.labels} - set(self.columns)
            if missing:
                raise ValueError(f"'columns' does not name {', '.join(sorted(missing))}")
            if not set(self.labels.values()) <= WORD_KINDS:
                raise ValueError(
                    "format conll holds labels with one tag per word: tags, iob1, iob2 or bioes"
                )
        elif self.columns is not None:
            raise ValueError("'columns' is for format conll")
        for kind in self.labels.values():
            if kind in WORD_KINDS and self.words is None:
                raise ValueError(f"labels of kind {kind!r} need 'words' as input, one tag per word")
        fields = (self.id, self.input_field, self.text_b, *self.labels)
        names = [name for name in fields if name is not None]
        if len(set(names)) != len(names):
            raise ValueError("id, text, text_b, words and labels must be different fields")
        if set(self.labels) & {"id", "split"}:
            raise ValueError("a label must not be called 'id' or 'split'; rename the field")
        if self.stratify is not None and self.labels.get(self.stratify) != "class":
            raise ValueError("'stratify' must be null or name a label of kind 'class'")
        return self
