"""CoNLL columns: one word per line, a blank line between sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.corpus.schemes import is_tag, standard_tag
from pipeline.ingest.lines import LONGEST_ROW, MOST_LINES, note_long_row, numbered_lines
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import SCHEMES, UNUSED, CorpusSettings
from pipeline.ingest.sources import Source

_SPACES = re.compile("[ \t]+")
_BLANK = " \t"


def split_columns(line: str) -> list[str]:
    """The columns of a line: at each tab where it has one, else at spaces.

    No other white space is layout: U+00A0, say, is part of a word.
    """
    return line.split("\t") if "\t" in line else _SPACES.split(line.strip(" "))


def read_conll(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the sentences of a CoNLL file in order; a sentence's id is its number, from 1.

    Lines that begin as ``skip_lines`` says are left out; they do not end a sentence. A ``#`` may be
    a word too, so that a line which begins with one is left out only if it is unlike a word's line.
    """
    columns = settings.columns or ()
    skip = settings.skip_lines or ()
    schemes = [(columns.index(name), SCHEMES.get(kind)) for name, kind in settings.labels.items()]
    sentence: list[Sequence[str]] = []
    lines: list[int] = []
    count = characters = 0
    tabs: bool | None = None  # whether the last word's columns were separated by tabs
    widths: Counter[int] = Counter()

    def row() -> Row:
        by_name = dict(zip(columns, zip(*sentence, strict=True), strict=True))
        by_name.pop(UNUSED, None)
        place = source.at(lines[0])
        return Row(place, source.number(count), by_name, source.split, lines)

    def is_word(line: str, cells: Sequence[str]) -> bool:
        """Whether a line that begins with ``#`` has what the lines of words have."""
        return (
            len(cells) == len(columns)
            and tabs in (None, "\t" in line)
            and all(
                scheme is None or is_tag(standard_tag(cells[place].strip(), scheme), scheme)
                for place, scheme in schemes
            )
        )

    for number, line in numbered_lines(source, settings.encoding):
        if line.strip():
            cells = split_columns(line)
            marks = [mark for mark in skip if line.startswith(mark)]
            if marks and not (all(m.strip() == "#" for m in marks) and is_word(line, cells)):
                source.skipped()
                continue
            widths[len(cells)] += 1
            if _fits(cells, columns, source, number):
                sentence.append(cells)
                lines.append(number)
                characters += len(line)
                tabs = "\t" in line
            if len(lines) > MOST_LINES or characters > LONGEST_ROW:
                note_long_row(source, lines[0])
                return
        elif sentence:
            count += 1
            yield row()
            sentence, lines, characters = [], [], 0
    count += 1
    if sentence:
        yield row()
    _note_width(widths, columns, source)


def _note_width(widths: Counter[int], columns: Sequence[str], source: Source) -> None:
    """Notes that not a few lines are wrong, but ``columns`` is."""
    usual = max(widths, key=lambda width: widths[width], default=len(columns))
    if usual != len(columns):
        source.problems.add(
            source.at(0),
            f"{widths[usual]} of {widths.total()} lines have {usual} columns, and 'columns' names "
            f"{len(columns)}",
            advice=f"name the {usual} columns in 'columns'",
        )


def _fits(cells: Sequence[str], columns: Sequence[str], source: Source, line: int) -> bool:
    place = source.at(line)
    if len(cells) != len(columns):
        source.problems.add(
            place,
            f"{len(cells)} columns where {len(columns)} are expected ({', '.join(columns)})",
            advice="mend the line, or name its columns in 'columns' ('_' for one that is not "
            "read); lines that are no words go into 'skip_lines'",
        )
    elif not all(cell.strip(_BLANK) for cell in cells):
        empty = next(n for n, cell in enumerate(cells) if not cell.strip(_BLANK))
        source.problems.add(place, f"column {empty + 1} ({columns[empty]}) is empty")
    else:
        return True
    return False
