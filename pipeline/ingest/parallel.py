"""Parallel lines: a file per field, in one folder; line n of each is row n."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from pipeline.ingest.lines import numbered_lines
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import MISSING, Source


def read_lines(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the rows of a folder with a file per field, named as the fields are.

    Without an ``id`` field, a row's id is its line number.
    """
    names = settings.fields
    missing = [name for name in names if not (source.path / name).is_file()]
    for name in missing:
        source.problems.add(
            source.at(0, source.path / name), f"no such file for field {name!r}", advice=MISSING
        )
    if missing:
        return
    files = [numbered_lines(source.beside(source.path / name), settings.encoding) for name in names]
    for number, lines in enumerate(zip_longest(*files), start=1):
        shorter = [name for name, line in zip(names, lines, strict=True) if line is None]
        if shorter:
            source.problems.add(
                source.at(number, source.path / shorter[0]),
                f"ends here, where {names[[line is not None for line in lines].index(True)]!r} "
                "goes on",
                advice="the files must have the same number of lines",
            )
            return
        values = {name: line[1] for name, line in zip(names, lines, strict=True)}
        place = source.at(number, source.path / settings.input_field)
        yield Row(place, source.number(number), values, source.split)
