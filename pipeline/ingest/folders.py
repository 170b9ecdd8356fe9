"""A folder per class, with a text file per row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.ingest.lines import numbered_lines
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

SUFFIXES = (".txt", ".txt.gz")


def read_folder(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the text files of the folders of a folder, whose names are the classes.

    A row's id is from the digest of its file, and rows are in the order of ids: classes are neither
    in ids nor in the order, so that a file that moves to another class changes no text.
    """
    (label,) = settings.labels
    files: list[tuple[str, Path]] = []
    for folder in sorted(path for path in source.path.iterdir() if not _hidden(path)):
        if folder.is_dir():
            files += [(_digest(path), path) for path in _texts(folder, source)]
        else:
            source.problems.add(
                source.at(0, folder), "is no folder", advice="texts are in a folder per class"
            )
    seen: Counter[str] = Counter()
    for digest, path in sorted(files):
        seen[digest] += 1
        number = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        lines = numbered_lines(source.beside(path), settings.encoding, keep_ends=True)
        values = {
            settings.input_field: "".join(line for _, line in lines),
            label: path.relative_to(source.path).parts[0],
        }
        yield Row(source.at(1, path), source.number(number), values, source.split)


def _texts(folder: Path, source: Source) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or _hidden(path):
            continue
        if path.name.endswith(SUFFIXES):
            found.append(path)
        else:
            source.problems.add(
                source.at(0, path), "is no .txt file", advice="move it out of the folder"
            )
    return found


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
