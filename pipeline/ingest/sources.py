"""Sources of a corpus: one file, one folder, or one of them for each split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.ingest.listing import files_below
from pipeline.ingest.problems import Problems
from pipeline.ingest.rows import Place
from pipeline.ingest.settings import CorpusSettings

IN_FOLDERS = frozenset({"folder", "lines"})
"""Formats whose rows are spread over the files of a folder."""

MISSING = "`make setup` writes the samples, `dvc pull` brings tracked data"


@dataclass(frozen=True)
class Source:
    """A file, or a folder, to read rows from.

    Attributes:
        path: what to read.
        problems: where to note what is wrong.
        split: the split of all its rows, where that is given.
        advance: told how many bytes were read, for a progress bar.
        skipped: told of each line that is left out as settings say.
        hidden: told of each file or folder that is left out because its name begins with a dot.
    """

    path: Path
    problems: Problems
    split: str | None = None
    advance: Callable[[int], object] = int
    skipped: Callable[[], object] = int
    hidden: Callable[[], object] = int

    def number(self, row: int | str) -> str:
        """The id of a row that has none: its number, behind its split where files are separate."""
        return f"{self.split}-{row}" if self.split else str(row)

    def at(self, line: int, path: Path | None = None) -> Place:
        """A place in the source."""
        return Place(str(path or self.path), line)

    def beside(self, path: Path) -> Source:
        """A file of this source, if it is a folder."""
        return replace(self, path=path)


def sources_of(
    path: Path,
    settings: CorpusSettings,
    problems: Problems,
    *,
    advance: Callable[[int], object] = int,
    skipped: Callable[[], object] = int,
    hidden: Callable[[], object] = int,
) -> list[Source]:
    """The sources of a corpus that are there; what is missing is noted as a problem."""
    whole = Source(path, problems, advance=advance, skipped=skipped, hidden=hidden)
    if settings.split.files is None:
        candidates = [whole]
    elif not path.is_dir():
        what = "is no folder" if path.exists() else "no such folder"
        problems.add(whole.at(0), what, advice="'path' is the folder that holds split.files")
        return []
    else:
        candidates = [
            replace(whole, path=path / name, split=split)
            for split, name in settings.split.files.items()
        ]
    return [source for source in candidates if _is_there(source, settings)]


def _is_there(source: Source, settings: CorpusSettings) -> bool:
    wants_folder = settings.format in IN_FOLDERS
    kind = "folder" if wants_folder else "file"
    if not source.path.exists():
        source.problems.add(source.at(0), f"no such {kind}", advice=MISSING)
    elif source.path.is_dir() != wants_folder:
        advice = f"format {settings.format} reads a {kind}"
        if not wants_folder:
            advice += "; or name the file of each split in split.files"
        source.problems.add(source.at(0), f"is no {kind}", advice=advice)
    else:
        return True
    return False


def bytes_of(path: Path) -> int | None:
    """Bytes below a path, for a progress bar; ``None`` where it does not exist."""
    if path.is_dir():
        files = (Path(entry.path) for entry in files_below(path))
        return sum(file.stat().st_size for file in files if file.is_file())
    return path.stat().st_size if path.is_file() else None
