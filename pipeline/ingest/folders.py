"""A folder per class, with a text file per row.

A folder is read as it is found, and whoever made it chose the names in it. Hidden entries, whose
names begin with a dot, are left out and counted. A symbolic link to a file is read where the file
is in the corpus, or in a cache of DVC, which may check data out as links; any other link is a
problem, so that no file from elsewhere becomes a text.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.core.reading import open_regular
from pipeline.ingest.lines import LONGEST_ROW, numbered_lines
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

SUFFIXES = (".txt", ".txt.gz")

_CACHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")
"""How DVC names a file in its cache: by its MD5, the first two digits apart."""

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


def files_below(folder: Path, hidden: Callable[[], object] = int) -> Iterator[os.DirEntry[str]]:
    """Yields what is in a folder and in those below it, in the order of names, but no folders.

    Links are not followed; one to a folder is yielded as a file is.

    Args:
        folder: where to begin.
        hidden: told of each entry that is left out because its name begins with a dot.
    """
    pending = [str(folder)]
    while pending:
        below = []
        for entry in _entries(pending.pop()):
            if entry.name.startswith("."):
                hidden()
            elif entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            else:
                yield entry
        pending += reversed(below)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def link_problem(path: Path, root: Path) -> str | None:
    """Why a symbolic link is not read in a corpus whose folder is ``root``; ``None`` if it is.

    A link to a folder is none that DVC makes, and may lead around in a circle.
    """
    target = Path(os.path.realpath(path))
    if path.is_dir():
        return "is a link to a folder"
    if not target.exists():
        return "is a link to nothing"
    in_cache = _CACHED.fullmatch("/".join(target.parts[-2:]))
    if in_cache or target.is_relative_to(os.path.realpath(root)):
        return None
    return f"is a link to a file outside of {root}: {target}"


def _texts(source: Source) -> Iterator[tuple[str, str]]:
    """Yields ``(class, path)`` of the text files; notes what else there is."""
    for entry in _entries(str(source.path)):
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
