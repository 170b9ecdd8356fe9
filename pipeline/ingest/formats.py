"""The registry of raw formats, and corpora read through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.ingest.conll import read_conll
from pipeline.ingest.conllu import read_conllu
from pipeline.ingest.counts import Tally
from pipeline.ingest.delimited import read_table
from pipeline.ingest.folders import read_folder
from pipeline.ingest.jsonl import read_jsonl
from pipeline.ingest.parallel import read_lines
from pipeline.ingest.parquet import read_parquet
from pipeline.ingest.problems import Problems
from pipeline.ingest.rows import Example, Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source, sources_of
from pipeline.ingest.validation import Checker


@dataclass(frozen=True)
class Format:
    """A raw format.

    Attributes:
        read: yields the rows of a source, and notes its problems.
        cells: whether it holds nothing but text: then lists and numbers are written as text.
    """

    read: Callable[[Source, CorpusSettings], Iterator[Row]]
    cells: bool


FORMATS: dict[str, Format] = {
    "jsonl": Format(read_jsonl, cells=False),
    "csv": Format(read_table, cells=True),
    "tsv": Format(read_table, cells=True),
    "conll": Format(read_conll, cells=True),
    "conllu": Format(read_conllu, cells=True),
    "lines": Format(read_lines, cells=True),
    "folder": Format(read_folder, cells=True),
    "parquet": Format(read_parquet, cells=False),
}


class RawCorpus:
    """The examples of a raw corpus, read anew by each iteration.

    Attributes:
        problems: what is wrong, gathered by the last iteration; such examples are left out.
        tally: what the last iteration did besides.
    """

    def __init__(
        self, path: Path, settings: CorpusSettings, advance: Callable[[int], object] = int
    ) -> None:
        self.problems = Problems()
        self.tally = Tally()
        self._path = path
        self._settings = settings
        self._advance = advance

    def __iter__(self) -> Iterator[Example]:
        """Yields the examples in order."""
        self.problems.clear()
        self.tally.clear()
        form = FORMATS[self._settings.format]
        check = Checker(self._settings, cells=form.cells, problems=self.problems, tally=self.tally)
        for source in sources_of(
            self._path,
            self._settings,
            self.problems,
            advance=self._advance,
            skipped=self._skipped,
            hidden=self._hidden,
        ):
            before, rows = self.problems.count, 0
            for row in form.read(source, self._settings):
                rows += 1
                if example := check(row):
                    yield example
            if not rows and self.problems.count == before:
                self.problems.add(source.at(0), "holds no row")

    def _skipped(self) -> None:
        self.tally.skipped_lines += 1

    def _hidden(self) -> None:
        self.tally.hidden += 1


def read_examples(path: Path, settings: CorpusSettings) -> list[Example]:
    """All examples of a raw corpus, in order.

    Raises:
        InvalidCorpusError: any of them has a problem.
    """
    corpus = RawCorpus(path, settings)
    examples = list(corpus)
    corpus.problems.raise_if_any(str(path))
    return examples
