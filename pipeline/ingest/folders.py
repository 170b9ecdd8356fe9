"""A folder per class, with a text file per row.

Whoever made a folder chose the names in it, so that links are read only where
``pipeline/ingest/listing.py`` says so.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.reading import open_regular
from pipeline.ingest.lines import LONGEST_ROW, numbered_lines
from pipeline.ingest.listing import entries, files_below, link_problem
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

SUFFIXES = (".txt", ".txt.gz")

_CHUNK = 1 << 20

_COPY = "put a copy of it in its place"


def read_folder(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the text files of the folders of a folder, whose names are the classes.

    A row's id is from the digest of its file, and rows are in the order of ids: classes are neither
    in ids nor in the order, so that a file that moves to another class changes no text.
    """
    (label,) = settings.labels
    files: list[tuple[str, str, str]] = []
    for name, path in _texts(source):
        if digest := _digest(path, source):
            files.append((digest, path, name))
    seen: Counter[str] = Counter()
    for digest, path, name in sorted(files):
        seen[digest] += 1
        number = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        text = _text(Path(path), source, settings)
        if text is not None:
            values = {settings.input_field: text, label: name}
            yield Row(source.at(1, Path(path)), source.number(number), values, source.split)


def _texts(source: Source) -> Iterator[tuple[str, str]]:
    """Yields ``(class, path)`` of the text files; notes what else there is."""
    for entry in entries(str(source.path)):
        if entry.name.startswith("."):
            source.hidden()
        elif entry.is_dir(follow_symlinks=False):
            for below in files_below(Path(entry.path), source.hidden):
                if _is_text(below, source):
                    yield entry.name, below.path
        elif entry.is_dir():
            _note(entry, "is a link to a folder", _COPY, source)
        else:
            _note(entry, "is no folder", "texts are in a folder per class", source)


def _is_text(entry: os.DirEntry[str], source: Source) -> bool:
    """Whether a file is one to read; if not, that is a problem."""
    if entry.is_symlink() and (why := link_problem(Path(entry.path), source.path)):
        _note(entry, why, _COPY, source)
    elif not entry.name.endswith(SUFFIXES):
        _note(entry, "is no .txt file", "move it out of the folder", source)
    else:
        return True
    return False


def _note(entry: os.DirEntry[str], what: str, advice: str, source: Source) -> None:
    source.problems.add(source.at(0, Path(entry.path)), what, advice=advice)


def _digest(path: str, source: Source) -> str | None:
    try:
        digest = hashlib.sha256()
        with open_regular(Path(path)) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()[:16]
    except OSError as error:
        place = source.at(0, Path(path))
        source.problems.add(place, f"cannot be read: {error.strerror}")
        return None


def _text(path: Path, source: Source, settings: CorpusSettings) -> str | None:
    """The whole of a file; ``None`` where that is too much for a text."""
    lines, characters = [], 0
    for _, line in numbered_lines(source.beside(path), settings.encoding, keep_ends=True):
        lines.append(line)
        characters += len(line)
        if characters > LONGEST_ROW:
            source.problems.add(
                source.at(0, path), f"the text is longer than {LONGEST_ROW:,} characters"
            )
            return None
    return "".join(lines)
