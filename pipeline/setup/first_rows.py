"""The first rows of a raw file, read before anything is known of it but its format."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.core.errors import DataError
from pipeline.ingest.conllu import COLUMNS
from pipeline.ingest.jsonl import parse_row
from pipeline.ingest.lines import numbered_lines
from pipeline.ingest.parquet import BadParquetError, fields_of, parquet_file, rows_of
from pipeline.ingest.problems import Problems
from pipeline.ingest.settings import FormatName
from pipeline.ingest.sources import Source

ROWS = 500
"""Rows that are looked at."""

MOST_CHARACTERS = 1 << 25
"""Characters of the lines that are looked at, but for the last of them."""

_DELIMITERS = ",\t;|"


def head_of(
    path: Path, count: int, encoding: str | None = None, *, most: int = MOST_CHARACTERS
) -> list[str]:
    """The first lines of a file, fewer where they are very long.

    What is no text is not minded yet.
    """
    lines, left = [], most
    for _, line in islice(numbered_lines(Source(path, Problems()), encoding), count):
        lines.append(line)
        left -= len(line)
        if left < 0:
            break
    return lines


def first_rows(
    path: Path, chosen: FormatName, encoding: str | None
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Fields of the first rows of a file.

    Returns:
        The settings that say how to read it, besides its format and encoding; and by field, the
        values of the rows.

    Raises:
        DataError: the format needs a library that is not installed.
    """
    if chosen == "parquet":
        return {}, _parquet(path)
    lines = head_of(path, 20 * ROWS, encoding)
    if chosen == "jsonl":
        return {}, _jsonl(lines)
    if chosen == "conllu":
        return {}, _conllu(lines)
    if chosen == "conll":
        return _conll(lines)
    return _table(lines, chosen)


def _jsonl(lines: Sequence[str]) -> dict[str, list[Any]]:
    rows = []
    for line in islice((line for line in lines if line.strip()), ROWS):
        try:
            row = parse_row(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    shared = [name for name in (rows[0] if rows else {}) if all(name in row for row in rows)]
    return {name: [row[name] for row in rows] for name in shared}


def _table(lines: Sequence[str], chosen: FormatName) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Chooses the delimiter that gives most cells, the same number in most rows."""
    usual = "\t" if chosen == "tsv" else ","
    best: tuple[int, list[list[str]], str, bool] = (0, [], usual, True)
    for delimiter in [usual, *_DELIMITERS]:
        for quoted in (chosen == "csv", chosen != "csv"):  # the usual one first
            rows = _cells(lines, delimiter, quoted=quoted)
            width = len(rows[0]) if rows else 0
            fitting = sum(len(row) == width for row in rows)
            score = fitting * (width - 1) if fitting == len(rows) else 0
            if score > best[0]:
                best = (score, rows, delimiter, quoted)
    _, rows, delimiter, quoted = best
    settings: dict[str, Any] = {}
    if delimiter != usual:
        settings["delimiter"] = delimiter
    if quoted != (chosen == "csv"):
        settings["quoted"] = quoted
    if not rows:
        rows = _cells(lines, usual, quoted=True)
    return settings, {
        name: [row[place] if place < len(row) else "" for row in rows[1:]]
        for place, name in enumerate(rows[0] if rows else ())
    }


def _cells(lines: Sequence[str], delimiter: str, *, quoted: bool) -> list[list[str]]:
    reader = csv.reader(
        (line + "\n" for line in lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    rows: list[list[str]] = []
    try:
        rows.extend(islice((row for row in reader if row), ROWS))
    except csv.Error:
        # The lines may end inside a cell; anything else is a delimiter that does not fit.
        return rows if len(rows) > 1 and reader.line_num >= len(lines) else []
    return rows


def _conllu(lines: Sequence[str]) -> dict[str, list[Any]]:
    words = [line.split("\t") for line in lines if not line.startswith("#")]
    sentences = _sentences([cells if len(cells) == len(COLUMNS) else [] for cells in words])
    values = {
        name: [tuple(cells[place] for cells in sentence) for sentence in sentences]
        for place, name in enumerate(COLUMNS)
        if name in ("form", "upos", "xpos")
    }
    if any(line.startswith("# sent_id") for line in lines):
        values["sent_id"] = [(str(number),) for number in range(len(sentences))]
    return {name: list(column) for name, column in values.items()}


def _conll(lines: Sequence[str]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    skip = [
        mark
        for mark in ("-DOCSTART-", "# ")
        if any(line.startswith(mark) and _is_remark(line, mark) for line in lines)
    ]
    rows = [
        line.split("\t") if "\t" in line else line.split()
        for line in lines
        if not (skip and line.startswith(tuple(skip)))
    ]
    width = max((len(row) for row in rows if row), default=0)
    sentences = _sentences([row if len(row) == width and any(row) else [] for row in rows])
    columns = [f"column_{place + 1}" for place in range(width)]
    values: dict[str, list[Any]] = {
        name: [tuple(cells[place] for cells in sentence) for sentence in sentences]
        for place, name in enumerate(columns)
    }
    settings: dict[str, Any] = {"columns": columns}
    if skip:
        settings["skip_lines"] = skip
    return settings, values


def _is_remark(line: str, mark: str) -> bool:
    return mark != "# " or "\t" not in line


def _sentences(rows: Sequence[list[str]]) -> list[list[list[str]]]:
    sentences: list[list[list[str]]] = [[]]
    for cells in rows:
        if cells:
            sentences[-1].append(cells)
        elif sentences[-1]:
            sentences.append([])
    return [sentence for sentence in sentences if sentence][:ROWS]


def _parquet(path: Path) -> dict[str, list[Any]]:
    try:
        with parquet_file(path) as file:
            names = fields_of(file)
            rows = list(islice(rows_of(file, names), ROWS))
    except BadParquetError as error:
        raise DataError(f"{path}: {error}") from None
    return {name: [row[name] for row in rows] for name in names}
