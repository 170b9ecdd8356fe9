"""Rows to examples: every field checked, labels as they are stored, all problems noted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from pipeline.core.spelling import closest
from pipeline.corpus.schemes import Scheme, first_fault, standard_tag, to_bio
from pipeline.corpus.texts import Label, Text, TextPair, parts
from pipeline.ingest.counts import Tally
from pipeline.ingest.problems import Problems, listed, show
from pipeline.ingest.rows import Example, Row
from pipeline.ingest.settings import SCHEMES, WORD_KINDS, CorpusSettings, LabelKind
from pipeline.ingest.values import (
    WrongValueError,
    class_of,
    classes_of,
    name_of,
    number_of,
    strings_of,
    tags_of,
    text_of,
)

T = TypeVar("T")


class Checker:
    """Makes examples of rows, for one corpus.

    Args:
        settings: what the fields must be.
        cells: whether the format holds nothing but text, so that numbers and lists are written in
            it.
        problems: where to note what is wrong.
        tally: counts rows that are dropped, and tags that are repaired.
    """

    def __init__(
        self, settings: CorpusSettings, *, cells: bool, problems: Problems, tally: Tally
    ) -> None:
        self._settings = settings
        self._cells = cells
        self._problems = problems
        self._tally = tally

    def __call__(self, row: Row) -> Example | None:
        """The example of a row; ``None`` where it has a problem, or is dropped."""
        settings, before = self._settings, self._problems.count
        row_id = row.number
        if settings.id is not None:
            row_id = self._get(row, settings.id, lambda value: name_of(value, "an id")) or ""
        text = self._text(row)
        labels: dict[str, Label] = {}
        for name, kind in settings.labels.items():
            label = self._get(row, name, partial(self._label, kind))
            if label is not None:
                labels[name] = label
        split = self._split(row)
        group = settings.group and self._get(row, settings.group, lambda v: name_of(v, "a group"))
        if "\0" in row_id:
            self._problems.add(row.place, "the id holds a NUL character", field=settings.id)
        if self._problems.count > before or text is None:
            return None
        if self._is_empty(text, row) or self._problems.count > before:
            return None
        self._check_tags(labels, parts(text), row)
        self._check_characters((row_id, text, *labels.values(), group or ""), row)
        if self._problems.count > before:
            return None
        return Example(row_id, text, labels, row.place.line, row.place.file, split, group)

    def _get(self, row: Row, name: str, convert: Callable[[Any], T]) -> T | None:
        if name not in row.values:
            near = closest(name, row.values)
            self._problems.add(
                row.place,
                f"field {show(name)} is missing; this row has {listed(row.values) or 'no field'}",
                advice=f"did you mean {show(near)}?" if near else None,
            )
            return None
        try:
            return convert(row.values[name])
        except WrongValueError as error:
            self._problems.add(row.place, str(error), field=name, advice=error.advice)
            return None

    def _text(self, row: Row) -> Text | None:
        settings = self._settings
        if settings.text is None:
            return self._get(
                row, settings.input_field, lambda value: strings_of(value, cells=self._cells)
            )
        first = self._get(row, settings.text, text_of)
        if settings.text_b is None:
            return first
        second = self._get(row, settings.text_b, text_of)
        return None if first is None or second is None else TextPair(first, second)

    def _label(self, kind: LabelKind, value: Any) -> Label:
        if kind == "class":
            return class_of(value)
        if kind == "classes":
            return classes_of(value, self._settings.separator)
        if kind == "number":
            return number_of(value, cells=self._cells)
        return tags_of(value, cells=self._cells)

    def _split(self, row: Row) -> str | None:
        column = self._settings.split.column
        if column is None:
            return row.split
        value = self._get(row, column, lambda value: class_of(value, "a split"))
        split = value if value is None else self._settings.split.given_name(value)
        if value is not None and split is None:
            known = ", ".join(map(show, self._settings.split.names or ("train", "dev", "test")))
            self._problems.add(
                row.place,
                f"{show(value)} is no split; known are {known}",
                field=column,
                advice="say what it means in split.names",
            )
        return split

    def _is_empty(self, text: Text, row: Row) -> bool:
        """Whether the row has no text; notes that, where it is a problem, or counts the row."""
        settings = self._settings
        if isinstance(text, TextPair):
            field = settings.input_field if not text.first.strip() else settings.text_b
            empty = not text.first.strip() or not text.second.strip()
        else:
            field = settings.input_field
            empty = not any(part.strip() for part in parts(text))
        if not empty or settings.empty_text == "keep":
            return False
        if settings.empty_text == "drop":
            self._tally.dropped += 1
            return True
        self._problems.add(
            row.place,
            "the text is empty",
            field=field,
            advice="give the row text, remove it, or set empty_text: drop",
        )
        return True

    def _check_tags(self, labels: dict[str, Label], words: tuple[str, ...], row: Row) -> None:
        """Counts tags and words; makes entity tags BIO."""
        for name, kind in self._settings.labels.items():
            tags = labels[name]
            if kind not in WORD_KINDS or not isinstance(tags, tuple):
                continue
            if len(tags) != len(words):
                self._problems.add(
                    row.place,
                    f"{len(tags)} tags for {len(words)} words",
                    field=name,
                    advice="give each word one tag",
                )
            elif "" in tags:
                self._problems.add(
                    row.place_of(tags.index("")),
                    f"the tag of word {tags.index('') + 1} is empty",
                    field=name,
                )
            elif scheme := SCHEMES.get(kind):
                labels[name] = self._in_bio(name, tags, scheme, words, row)

    def _in_bio(
        self, name: str, tags: tuple[str, ...], scheme: Scheme, words: tuple[str, ...], row: Row
    ) -> tuple[str, ...]:
        tags = tuple(standard_tag(tag, scheme) for tag in tags)
        fault = first_fault(tags, scheme)
        if fault is None:
            return to_bio(tags, scheme)
        if fault.repairable and self._settings.broken_tags == "repair":
            self._tally.repaired[name] += 1
            return to_bio(tags, scheme)
        self._problems.add(
            row.place_of(fault.position),
            f"word {fault.position + 1} ({show(words[fault.position])}): {fault.why}",
            field=name,
            advice="mend it, or set broken_tags: repair"
            if fault.repairable
            else "is the kind of the label right? 'tags' takes any",
        )
        return tags

    def _check_characters(self, values: tuple[Text | Label, ...], row: Row) -> None:
        r"""JSON can spell half a character (``"\ud800"``), which no file can hold as UTF-8."""
        for value in values:
            for part in () if isinstance(value, float) else parts(value):
                try:
                    part.encode("utf-8")
                except UnicodeEncodeError:
                    self._problems.add(
                        row.place,
                        f"a lone surrogate, which is no character: {show(part)}",
                        advice="remove it",
                    )
                    return
