"""The settings of one row of ``corpora`` in ``params.yaml``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Section
from pipeline.corpus.schemes import Scheme
from pipeline.ingest.split_settings import SplitSettings

FormatName = Literal["jsonl", "csv", "tsv", "conll", "conllu", "lines", "folder", "parquet"]
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
"""Stored kind of each kind of label: entity tags become BIO, whatever scheme they came in."""

UNUSED = "_"
"""Name of a column that is not read; several may have it."""

_ONLY_FOR: dict[str, tuple[FormatName, ...]] = {
    "columns": ("conll", "csv", "tsv"),
    "delimiter": ("csv", "tsv"),
    "quoted": ("csv", "tsv"),
    "separator": ("csv", "tsv", "lines"),
    "skip_lines": ("conll",),
    "encoding": ("jsonl", "csv", "tsv", "conll", "conllu", "lines", "folder"),
}
"""Settings that some formats have, and which."""


class CorpusSettings(Section):
    """A body of text with label columns and a split.

    Exactly one of ``text`` (raw text) and ``words`` (a list of words) names the input field; with
    ``text``, ``text_b`` may name the field of a second raw text, read as a pair with the first.
    ``labels`` maps label fields to what they hold: per row one ``class``, any number of ``classes``
    or a ``number``; per word a plain tag (``tags``), or an entity tag in the scheme ``iob1``,
    ``iob2`` or ``bioes``.

    Attributes:
        path: a file, gzipped or not; a folder where ``split`` names files, for format ``folder``,
            and for ``lines``.
        format: how the file is written; ``docs/guides/your-data.md`` shows each.
        columns: names of the columns in order: of ``conll``, and of tables without a header.
        encoding: of the file; UTF-8 where there is none.
        delimiter: of a table; a comma for ``csv`` and a tab for ``tsv`` where there is none.
        quoted: whether cells of a table may be in double quotes; in ``csv`` they may, in ``tsv``
            not, where there is none.
        separator: what stands between the classes of a cell.
        skip_lines: beginnings of lines that are no words: ``-DOCSTART-``, comments.
        id: the field with ids; where null, rows are numbered.
        labels: label fields, and their kind.
        empty_text: whether a row without text is an error, dropped and counted, or kept.
        broken_tags: whether an entity tag that does not fit its neighbours is an error, or repaired
            and counted.
        split: how rows come to their splits.
        stratify: a label of kind ``class`` for equal shares of its classes in drawn splits.
        group: a field; rows with the same value stay together in drawn splits.
        seed: of drawn splits.
    """

    path: str = Field(min_length=1)
    format: FormatName
    columns: tuple[str, ...] | None = None
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quoted: bool | None = None
    separator: str | None = Field(default=None, min_length=1)
    skip_lines: tuple[str, ...] | None = None
    id: str | None
    text: str | None = None
    text_b: str | None = None
    words: str | None = None
    labels: dict[str, LabelKind] = Field(min_length=1)
    empty_text: Literal["error", "drop", "keep"] = "error"
    broken_tags: Literal["error", "repair"] = "error"
    split: SplitSettings
    stratify: str | None = None
    group: str | None = None
    seed: int | None = Field(default=None, ge=0)

    @property
    def input_field(self) -> str:
        """Name of the field that holds the text, the first text of a pair, or the words."""
        return self.text or self.words or ""

    @property
    def fields(self) -> list[str]:
        """Every field that is read, once."""
        names = (self.id, self.input_field, self.text_b, *self.labels)
        return list(dict.fromkeys(n for n in (*names, self.split.column, self.group) if n))

    @model_validator(mode="after")
    def _has_one_input(self) -> Self:
        if (self.text is None) == (self.words is None):
            raise ValueError("name either the field of raw 'text' or the field of 'words'")
        if self.text_b is not None and self.text is None:
            raise ValueError(
                "'text_b' is the second text of a pair: it goes with 'text', not with 'words'"
            )
        if self.empty_text == "keep" and self.words is not None:
            raise ValueError("'empty_text: keep' is for raw text; a row of words has at least one")
        return self

    @model_validator(mode="after")
    def _format_has_its_settings(self) -> Self:
        for name, formats in _ONLY_FOR.items():
            if getattr(self, name) is not None and self.format not in formats:
                known = (
                    f"{', '.join(formats[:-1])} and {formats[-1]}" if formats[1:] else formats[0]
                )
                raise ValueError(f"{name!r} is for format {known}")
        if self.encoding is not None:
            try:
                "a".encode(self.encoding)
            except (LookupError, ValueError):
                raise ValueError(f"there is no encoding {self.encoding!r}") from None
        if self.format == "conll":
            self._check_conll()
        if self.format == "folder":
            self._check_folder()
        if self.columns is not None:
            self._check_columns(self.columns)
        in_cells = "classes" in self.labels.values() and self.format in _ONLY_FOR["separator"]
        if in_cells and self.separator is None:
            raise ValueError("labels of kind 'classes' need 'separator': what is between classes")
        return self

    def _check_columns(self, columns: tuple[str, ...]) -> None:
        named = [name for name in columns if name != UNUSED]
        if len(set(named)) != len(named):
            raise ValueError("'columns' names a column twice")
        if missing := set(self.fields) - set(named):
            raise ValueError(f"'columns' does not name {', '.join(sorted(missing))}")

    def _check_conll(self) -> None:
        if not self.columns:
            raise ValueError("format conll needs 'columns', the names of its columns in order")
        if self.words is None or self.id is not None:
            raise ValueError("format conll holds 'words', and 'id' must be null")
        if not set(self.labels.values()) <= WORD_KINDS:
            raise ValueError(
                "format conll holds labels with one tag per word: tags, iob1, iob2 or bioes"
            )
        if self.split.column is not None or self.group is not None:
            raise ValueError("format conll has no field of a row: no column of 'split', no 'group'")

    def _check_folder(self) -> None:
        if self.text is None or self.text_b is not None or self.id is not None:
            raise ValueError("format folder holds 'text', and 'id' must be null")
        if list(self.labels.values()) != ["class"]:
            raise ValueError("format folder holds one label of kind 'class', the folder's name")
        if self.split.column is not None or self.group is not None:
            raise ValueError("format folder has text and a class: no column of 'split', no 'group'")

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        for kind in self.labels.values():
            if kind in WORD_KINDS and self.words is None:
                raise ValueError(f"labels of kind {kind!r} need 'words' as input, one tag per word")
        names = [
            name
            for name in (self.id, self.input_field, self.text_b, *self.labels, self.split.column)
            if name is not None
        ]
        if len(set(names)) != len(names):
            raise ValueError(
                "id, text, text_b, words and labels must be different fields, and so must the "
                "column of splits"
            )
        if set(self.labels) & {"id", "split"}:
            raise ValueError("a label must not be called 'id' or 'split'; rename the field")
        if self.stratify is not None and self.labels.get(self.stratify) != "class":
            raise ValueError("'stratify' must be null or name a label of kind 'class'")
        if self.split.drawn and self.seed is None:
            raise ValueError("splits that are drawn need a 'seed'")
        if not self.split.drawn:
            for name in ("seed", "stratify", "group"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name!r} is for splits that are drawn; these are given")
        return self
