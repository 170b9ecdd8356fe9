"""CSV and TSV: a row per line, or per several where a quoted cell goes on."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from pipeline.core.spelling import closest
from pipeline.ingest.lines import LONGEST_ROW, MOST_LINES, note_long_row, numbered_lines
from pipeline.ingest.problems import listed, show
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import UNUSED, CorpusSettings
from pipeline.ingest.sources import Source

_SHOWN = 30
"""Names of columns that a problem shows."""

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""What Excel reads, and some programs write, before the header."""


_PROPER = re.compile(r'"(?:[^"]|"")*"')
"""A cell in quotes, as csv writes it."""

_LOOKED_AT = 200
"""Lines by which it is decided whether cells are quoted."""


def read_table(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the rows of a table in order; blank lines, and rows of empty cells, are none.

    The first row names the columns, unless the settings do. A line ``sep=;`` before it is no row,
    and says the delimiter, unless the settings do. Without an ``id`` field, a row's id is its
    number, from 1, the header not counted.
    """
    columns = settings.columns
    expected = _in_order(columns or ())
    count = 0
    for line, cells in _records(source, settings):
        if columns is None:
            if not _names_all(cells, source, line, settings):
                return
            columns = tuple(cells)
            expected = _in_order(columns)
            continue
        count += 1
        if len(cells) != len(columns):
            source.problems.add(
                source.at(line),
                f"{len(cells)} cells where {len(columns)} are expected ({expected})",
                advice="a cell that holds the delimiter must be in double quotes"
                if _quoted(settings)
                else "is 'delimiter' right, and are cells quoted ('quoted: true')?",
            )
            continue
        values = {name: cell for name, cell in zip(columns, cells, strict=True) if name != UNUSED}
        yield Row(source.at(line), source.number(count), values, source.split)


def _in_order(columns: Sequence[str]) -> str:
    return ", ".join(columns[:_SHOWN]) + (", ..." if len(columns) > _SHOWN else "")


def _records(source: Source, settings: CorpusSettings) -> Iterator[tuple[int, list[str]]]:
    """``(line that it begins on, cells)`` of each row that the csv module can read."""
    csv.field_size_limit(LONGEST_ROW)
    lines = numbered_lines(source, settings.encoding, keep_ends=True)
    first = next(lines, None)
    said = _SEPARATOR_LINE.fullmatch(first[1]) if first else None
    if first and not said:
        lines = chain([first], lines)
    before = 1 if said else 0
    quoted = settings.format == "csv" if settings.quoted is None else settings.quoted
    usual = said[1] if said else "," if settings.format == "csv" else "\t"
    delimiter = settings.delimiter or usual
    if not quoted and settings.quoted is None:
        head = list(islice(lines, _LOOKED_AT))
        quoted = cells_are_quoted([line for _, line in head], delimiter)
        lines = chain(head, lines)
    row = _Lines(lines)
    reader = csv.reader(
        row,
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        begin = reader.line_num + 1 + before
        row.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if row.is_long:
                note_long_row(source, begin)
                return
            what, advice = _explained(str(error))
            source.problems.add(source.at(begin), what, advice=advice)
            continue
        if any(cell.strip() for cell in cells):
            yield begin, cells


def cells_are_quoted(lines: Sequence[str], delimiter: str) -> bool:
    """Whether the first lines of a table show that quotes around cells are layout.

    They are where all cells of the first line have them, or a cell has them and doubled ones
    inside; not where a cell begins with a quote and is no cell in quotes. A text in quotes alone
    shows nothing: it may be what somebody said.
    """
    rows = [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip()]
    begun = [cell for row in rows for cell in row if cell.startswith('"')]
    if not begun or not all(_PROPER.fullmatch(cell) for cell in begun):
        return False
    return all(cell.startswith('"') for cell in rows[0]) or any('""' in c[1:-1] for c in begun)


class _Lines:
    """Lines for the csv module, which end where a row has too many of them, or of characters."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self.begin()

    def begin(self) -> None:
        """A row begins."""
        self._left, self._characters = MOST_LINES, LONGEST_ROW

    @property
    def is_long(self) -> bool:
        """Whether the row has too much."""
        return self._left < 0 or self._characters < 0

    def __iter__(self) -> Iterator[str]:
        for _, line in self._lines:
            self._left -= 1
            self._characters -= len(line)
            if self.is_long:
                return
            yield line


def _explained(error: str) -> tuple[str, str]:
    """Message of the csv module in words, with what to do about it."""
    double = "inside a quoted cell, write a quote twice; with 'quoted: false' quotes mean nothing"
    if "unexpected end of data" in error:
        what = "a double quote opens a cell here, and none closes it before the end of the file"
        return what, double
    if "expected after" in error:
        return "text follows the double quote that closes a cell", double
    if "new-line character" in error:
        return "a carriage return inside a cell", "put the cell in double quotes, or remove it"
    return error, double


def _quoted(settings: CorpusSettings) -> bool:
    return settings.format == "csv" if settings.quoted is None else settings.quoted


def _names_all(header: Sequence[str], source: Source, line: int, settings: CorpusSettings) -> bool:
    """Whether the header has every field of the settings, once; if not, that is a problem."""
    wrong = [name for name in settings.fields if header.count(name) != 1]
    for name in wrong:
        if name in header:
            source.problems.add(source.at(line), f"two columns are called {show(name)}")
            continue
        near = closest(name, header)
        advice = f"did you mean {show(near)}? " if near else ""
        if len(header) == 1 and any(mark in header[0] for mark in ",;\t|"):
            advice += "is 'delimiter' right? "
        source.problems.add(
            source.at(line),
            f"there is no column {show(name)}; there is {listed(header)}",
            advice=advice + "Without a header, name all columns in 'columns'",
        )
    return not wrong
