"""CSV and TSV: a row per line, or per several where a quoted cell goes on."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence

from pipeline.ingest.lines import LONGEST_LINE, numbered_lines
from pipeline.ingest.problems import show
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import UNUSED, CorpusSettings
from pipeline.ingest.sources import Source


def read_table(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the rows of a table in order; blank lines are skipped.

    The first row names the columns, unless the settings do. Without an ``id`` field, a row's id is
    its number, from 1, the header not counted.
    """
    columns = settings.columns
    count = 0
    for line, cells in _records(source, settings):
        if columns is None:
            if not _names_all(cells, source, line, settings):
                return
            columns = tuple(cells)
            continue
        count += 1
        if len(cells) != len(columns):
            source.problems.add(
                source.at(line),
                f"{len(cells)} cells where {len(columns)} are expected ({', '.join(columns)})",
                advice="a cell that holds the delimiter must be in double quotes"
                if _quoted(settings)
                else "is 'delimiter' right, and are cells quoted ('quoted: true')?",
            )
            continue
        values = {name: cell for name, cell in zip(columns, cells, strict=True) if name != UNUSED}
        yield Row(source.at(line), source.number(count), values, source.split)


def _records(source: Source, settings: CorpusSettings) -> Iterator[tuple[int, list[str]]]:
    """``(line that it begins on, cells)`` of each row that the csv module can read."""
    csv.field_size_limit(LONGEST_LINE)
    lines = (line for _, line in numbered_lines(source, settings.encoding, keep_ends=True))
    reader = csv.reader(
        lines,
        delimiter=settings.delimiter or ("," if settings.format == "csv" else "\t"),
        quoting=csv.QUOTE_MINIMAL if _quoted(settings) else csv.QUOTE_NONE,
        strict=True,
    )
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what, advice = _explained(str(error))
            source.problems.add(source.at(begin), what, advice=advice)
            continue
        if cells:
            yield begin, cells


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
        near = difflib.get_close_matches(name, header, n=1)
        advice = f"did you mean {show(near[0])}? " if near else ""
        if len(header) == 1 and any(mark in header[0] for mark in ",;\t|"):
            advice += "is 'delimiter' right? "
        source.problems.add(
            source.at(line),
            f"there is no column {show(name)}; there is {', '.join(map(show, header))}",
            advice=advice + "Without a header, name all columns in 'columns'",
        )
    return not wrong
