"""CoNLL columns: one word per line, a blank line between sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.corpus.lines import numbered_lines
from pipeline.corpus.records import Example
from pipeline.corpus.settings import CorpusSettings
from pipeline.errors import DataError


def read_conll(path: Path, settings: CorpusSettings) -> Iterator[Example]:
    """Yields the sentences of a CoNLL file in order; a sentence's id is its number, from 1.

    Columns are separated by a tab where the line has one, else by white space.

    Raises:
        DataError: a line has more or fewer columns than the settings name.
    """
    columns = settings.columns or ()
    sentence: list[Sequence[str]] = []
    begin = count = 0

    def example() -> Example:
        by_name = dict(zip(columns, zip(*sentence, strict=True), strict=True))
        return Example(
            id=str(count),
            text=by_name[settings.input_field],
            labels={name: by_name[name] for name in settings.labels},
            line=begin,
        )

    for number, line in numbered_lines(path):
        if line.strip():
            cells = line.split("\t") if "\t" in line else line.split()
            if len(cells) != len(columns):
                raise DataError(
                    f"{path}:{number}: {len(cells)} columns where {len(columns)} are expected "
                    f"({', '.join(columns)})"
                )
            if not all(cell.strip() for cell in cells):
                raise DataError(f"{path}:{number}: a column is empty")
            if not sentence:
                begin, count = number, count + 1
            sentence.append(cells)
        elif sentence:
            yield example()
            sentence = []
    if sentence:
        yield example()
