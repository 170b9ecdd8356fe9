"""CoNLL columns: one word per line, a blank line between sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.ingest.lines import LONGEST_ROW, MOST_LINES, note_long_row, numbered_lines
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import UNUSED, CorpusSettings
from pipeline.ingest.sources import Source


def read_conll(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the sentences of a CoNLL file in order; a sentence's id is its number, from 1.

    Columns are separated by a tab where the line has one, else by white space. Lines that begin as
    ``skip_lines`` says are left out; they do not end a sentence.
    """
    columns = settings.columns or ()
    skip = settings.skip_lines or ()
    sentence: list[Sequence[str]] = []
    lines: list[int] = []
    count = characters = 0

    def row() -> Row:
        by_name = dict(zip(columns, zip(*sentence, strict=True), strict=True))
        by_name.pop(UNUSED, None)
        place = source.at(lines[0])
        return Row(place, source.number(count), by_name, source.split, lines)

    for number, line in numbered_lines(source, settings.encoding):
        if skip and line.startswith(skip):
            source.skipped()
        elif line.strip():
            cells = line.split("\t") if "\t" in line else line.split()
            if _fits(cells, columns, source, number):
                sentence.append(cells)
                lines.append(number)
                characters += len(line)
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


def _fits(cells: Sequence[str], columns: Sequence[str], source: Source, line: int) -> bool:
    place = source.at(line)
    if len(cells) != len(columns):
        source.problems.add(
            place,
            f"{len(cells)} columns where {len(columns)} are expected ({', '.join(columns)})",
            advice="mend the line, or name its columns in 'columns' ('_' for one that is not "
            "read); lines that are no words go into 'skip_lines'",
        )
    elif not all(cell.strip() for cell in cells):
        empty = next(n for n, cell in enumerate(cells) if not cell.strip())
        source.problems.add(place, f"column {empty + 1} ({columns[empty]}) is empty")
    else:
        return True
    return False
