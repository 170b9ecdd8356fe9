"""CoNLL-U, the format of Universal Dependencies (https://universaldependencies.org/format.html)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pipeline.ingest.lines import LONGEST_ROW, MOST_LINES, note_long_row, numbered_lines
from pipeline.ingest.problems import show
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

COLUMNS = (
    *("number", "form", "lemma", "upos", "xpos"),
    *("feats", "head", "deprel", "deps", "misc"),
)
_WORD = re.compile(r"[1-9][0-9]*")
_NO_WORD = re.compile(r"[1-9][0-9]*-[1-9][0-9]*|[0-9]+\.[1-9][0-9]*")
_METADATA = re.compile(r"#\s*([^=\s]+)\s*=\s*(.*?)\s*")


def read_conllu(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the sentences of a CoNLL-U file in order.

    A row has the columns of its words under their names in lower case (``form``, ``upos``, ...),
    and the metadata of its comments (``sent_id``, ``text``, ...). Ranges of words that are written
    as one (``3-4``) and empty nodes (``5.1``) are no words, and are left out. Without an ``id``
    field, a sentence's id is its number, from 1.
    """
    words: list[Sequence[str]] = []
    lines: list[int] = []
    metadata: dict[str, str] = {}
    count = begin = characters = 0

    def row() -> Row:
        columns = dict(zip(COLUMNS, zip(*words, strict=True), strict=True))
        values = {**metadata, **columns}
        return Row(source.at(lines[0]), source.number(count), values, source.split, lines)

    for number, line in numbered_lines(source, settings.encoding):
        characters += len(line)
        if number - begin > MOST_LINES or characters > LONGEST_ROW:
            note_long_row(source, begin + 1)
            return
        if line.startswith("#"):
            if found := _METADATA.fullmatch(line):
                metadata[found[1]] = found[2]
        elif line.strip():
            cells = line.split("\t")
            if _is_word(cells, source, number):
                words.append(cells)
                lines.append(number)
        else:
            if words:
                count += 1
                yield row()
            words, lines, metadata = [], [], {}
            begin, characters = number, 0
    count += 1
    if words:
        yield row()


def _is_word(cells: Sequence[str], source: Source, line: int) -> bool:
    place = source.at(line)
    if len(cells) != len(COLUMNS):
        source.problems.add(
            place,
            f"{len(cells)} columns where CoNLL-U has 10, separated by tabs",
            advice="mend the line; a file with other columns is of format conll",
        )
    elif not _WORD.fullmatch(cells[0]):
        if not _NO_WORD.fullmatch(cells[0]):
            source.problems.add(place, f"{show(cells[0])} is no number of a word")
    elif not all(cell.strip() for cell in cells):
        empty = next(n for n, cell in enumerate(cells) if not cell.strip())
        source.problems.add(
            place, f"column {COLUMNS[empty]} is empty", advice="CoNLL-U writes '_' for nothing"
        )
    else:
        return True
    return False
