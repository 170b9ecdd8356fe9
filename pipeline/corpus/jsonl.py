"""JSON Lines: one object per line, with the fields that the corpus settings name."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.corpus.lines import numbered_lines
from pipeline.corpus.records import Example, Label, Text, TextPair
from pipeline.corpus.settings import CorpusSettings, LabelKind
from pipeline.errors import DataError


def read_jsonl(path: Path, settings: CorpusSettings) -> Iterator[Example]:
    """Yields the examples of a JSONL file in order; blank lines are allowed.

    Without an ``id`` field, an example's id is its line number.

    Raises:
        DataError: a line is not an object with the named fields of the right types.
    """
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line, object_pairs_hook=_without_repetition)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: cannot be read: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f'{where}: must be a JSON object with fields, like {{"text": ...}}')
        yield Example(
            id=str(number) if settings.id is None else _id(row, settings.id, where),
            text=_text(row, settings, where),
            labels={name: _label(row, name, kind, where) for name, kind in settings.labels.items()},
            line=number,
        )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        repeated = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise ValueError(f"field {repeated!r} is given twice")
    return row


def _field(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        raise DataError(
            f"{where}: field {name!r} is missing; this line has {', '.join(map(repr, row))}"
        )
    return row[name]


def _id(row: dict[str, Any], name: str, where: str) -> str:
    value = _field(row, name, where)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(f"{where}: field {name!r} must be a non-empty string or a whole number")
    return str(value)


def _text(row: dict[str, Any], settings: CorpusSettings, where: str) -> Text:
    if settings.text is None:
        name = settings.input_field
        return _strings(_field(row, name, where), name, where)
    first = _raw_text(row, settings.text, where)
    if settings.text_b is None:
        return first
    return TextPair(first, _raw_text(row, settings.text_b, where))


def _raw_text(row: dict[str, Any], name: str, where: str) -> str:
    value = _field(row, name, where)
    if not isinstance(value, str):
        raise DataError(f"{where}: field {name!r} must be a string of text")
    return value


def _label(row: dict[str, Any], name: str, kind: LabelKind, where: str) -> Label:
    value = _field(row, name, where)
    if kind == "number":
        return _number(value, name, where)
    if kind == "classes":
        names = _strings(value, name, where)
        if "" in names:
            raise DataError(f"{where}: label {name!r} must hold no empty string")
        return tuple(sorted(set(names)))
    if kind != "class":
        return _strings(value, name, where)
    if not isinstance(value, str) or value == "":
        raise DataError(f"{where}: label {name!r} must be a non-empty string")
    return value


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{where}: label {name!r} must be a number, without quotes")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{where}: label {name!r} must be a finite number")
    return number


def _strings(value: Any, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(f"{where}: field {name!r} must be a list of strings")
    return tuple(value)
