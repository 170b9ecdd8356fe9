"""JSON Lines, an object per line, and JSON arrays of objects."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from pipeline.ingest.lines import LONGEST_ROW, note_long_row, numbered_lines
from pipeline.ingest.problems import show
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

DEEPEST = 200
"""Levels of lists and objects in a row."""

_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]')
"""Strings, which JSON ends on their line, and brackets outside of them."""

_BETWEEN = " \t\r,"
"""What is between the items of an array."""

_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def read_jsonl(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the rows of a JSONL file in order, or those of a JSON array; blank lines are allowed.

    Without an ``id`` field, a row's id is its line number, and in an array its place, from 1.
    """
    lines = numbered_lines(source, settings.encoding)
    full = ((number, line) for number, line in lines if line.strip())
    first = next(full, None)
    if first is None:
        return
    in_array = first[1].lstrip().startswith("[")
    whole = chain([first], full)
    rows = array_items(whole, source) if in_array else whole
    for place, (line, text) in enumerate(rows, start=1):
        try:
            values = parse_row(text)
        except json.JSONDecodeError as error:
            source.problems.add(
                source.at(line + error.lineno - 1),
                f"not JSON: {error.msg} at column {error.colno}: {show(text[error.pos :])}",
                advice="each row of the array is one object: {...}"
                if in_array
                else "each line is one object: {...}",
            )
        except ValueError as error:
            source.problems.add(source.at(line), f"cannot be read: {error}")
        else:
            if isinstance(values, dict):
                number = source.number(place if in_array else line)
                yield Row(source.at(line), number, values, source.split)
            else:
                source.problems.add(
                    source.at(line),
                    f"must be a JSON object, not {show(values)}",
                    advice='write fields, like {"text": ...}',
                )


def array_items(lines: Iterable[tuple[int, str]], source: Source) -> Iterator[tuple[int, str]]:
    """Yields ``(line that it begins on, text)`` of each item of an array, one in memory at a time.

    Args:
        lines: the numbered lines of the file.
        source: where to note an array without an end.
    """
    depth = begin = characters = 0
    held: list[str] = []
    for number, line in lines:
        at = 0
        for found in _STRUCTURE.finditer(line):
            opens = found[0] in "{["
            if found[0].startswith('"'):
                continue
            if depth <= 1 and (other := line[at : found.start()].strip(_BETWEEN)):
                yield number, other
            if opens and depth <= 1:
                at, begin = found.start() if depth else found.end(), number
            depth = max(depth + (1 if opens else -1), 0)
            if not opens and depth <= 1:
                if depth == 1:
                    yield begin, "".join([*held, line[at : found.end()]])
                    held, characters = [], 0
                at = found.end()
        if depth > 1:
            held.append(line[at:] + "\n")
            characters += len(line)
            if characters > LONGEST_ROW:
                note_long_row(source, begin)
                return
        elif other := line[at:].strip(_BETWEEN):
            yield number, other
    if depth:
        source.problems.add(
            source.at(begin),
            "the array, or the row that begins here, has no end",
            advice="is it whole?",
        )


def parse_row(line: str) -> Any:
    """The value of a line of JSON; NaN is a number, and text may have half a surrogate pair.

    What is wrong with a field that nobody reads does no harm, so that this is no ``parse_json``.

    Raises:
        ValueError: it is not JSON, repeats a field, or is nested more than ``DEEPEST`` deep.
    """
    try:
        value = _DECODER.decode(line)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if line.count("[") + line.count("{") > DEEPEST and _is_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


def _is_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        held = [item.values() if isinstance(item, dict) else item for item in level]
        level = [i for items in held for i in items if isinstance(i, dict | list)]
        if not level:
            return False
    return True


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        repeated = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise ValueError(f"field {show(repeated)} is given twice")
    return row


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repetition)
