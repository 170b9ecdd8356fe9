"""JSON Lines: one object per line, with the fields that the corpus settings name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.ingest.lines import numbered_lines
from pipeline.ingest.problems import show
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

DEEPEST = 200
"""Levels of lists and objects in a row."""

_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def read_jsonl(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the rows of a JSONL file in order; blank lines are allowed.

    Without an ``id`` field, a row's id is its line number.
    """
    first = True
    for number, line in numbered_lines(source, settings.encoding):
        if not line.strip():
            continue
        if first and line.strip() == "[":
            source.problems.add(
                source.at(number),
                "the file is one JSON array, not an object per line",
                advice="convert it: jq -c '.[]' in.json > out.jsonl",
            )
            return
        first = False
        try:
            values = parse_row(line)
        except json.JSONDecodeError as error:
            source.problems.add(
                source.at(number),
                f"not JSON: {error.msg} at column {error.colno}: {show(line[error.pos :])}",
                advice="each line is one object: {...}",
            )
        except ValueError as error:
            source.problems.add(source.at(number), f"cannot be read: {error}")
        else:
            if isinstance(values, dict):
                yield Row(source.at(number), source.number(number), values, source.split)
            else:
                source.problems.add(
                    source.at(number),
                    f"must be a JSON object, not {show(values)}",
                    advice='write fields, like {"text": ...}',
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
