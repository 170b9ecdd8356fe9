"""Files that are complete or absent, and bytes that are the same for the same content."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.core.reading import open_regular

READ_ONLY = 0o444
_CHUNK = 1 << 20


def canonical_json(value: Any) -> str:
    """One line of JSON with sorted keys and no spaces: equal values, equal text.

    Raises:
        ValueError: the value holds NaN or infinity, which JSON cannot express.
    """
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def readable_json(value: Any) -> str:
    """Indented JSON with the keys in the order given, for files that people and diffs read."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def sha256_text(text: str) -> str:
    """SHA-256 of the text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a whole file, in hexadecimal."""
    return _hash_file(path, hashlib.sha256())


def md5_file(path: Path) -> str:
    """MD5 of a whole file, in hexadecimal: what DVC calls a file's content by."""
    return _hash_file(path, hashlib.md5(usedforsecurity=False))


def _hash_file(path: Path, digest: hashlib._Hash) -> str:
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o644, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary sibling to write; renames it to ``path`` when the block ends well.

    The data is synced to disk before the rename, so that ``path`` never names half a file, not
    even after a power failure; without ``durable`` it may then be empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        _name(error, path)
        raise


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields a temporary sibling folder; it replaces ``path`` when the block ends well.

    A folder that is there is put aside first: nobody finds half of it under its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    before = temporary.with_suffix(".before.tmp")
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.is_dir() and not path.is_symlink():
            path.rename(before)
        temporary.replace(path)
        shutil.rmtree(before, ignore_errors=True)
    except BaseException as error:
        with suppress(OSError):
            before.rename(path)  # there is one, if a signal came between the two renames
        for left in (temporary, before):
            shutil.rmtree(left, ignore_errors=True)
        _name(error, path)
        raise


def _name(error: BaseException, path: Path) -> None:
    """Says what was written: a write that the disk refuses does not."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)


def write_bytes(
    path: Path, *data: bytes | memoryview, mode: int = 0o644, durable: bool = True
) -> None:
    """Writes a whole file atomically, from parts; see ``atomic_file``."""
    with (
        atomic_file(path, mode=mode, durable=durable) as temporary,
        temporary.open("wb", buffering=0) as file,
    ):
        for part in data:
            _write_all(file, part)


def _write_all(file: io.RawIOBase, data: bytes | memoryview) -> None:
    """Writes all of it, where the system may take a part at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]


def write_text(path: Path, text: str) -> None:
    r"""Writes a whole text file atomically, in UTF-8 with ``\\n`` line ends on every system."""
    write_bytes(path, text.encode("utf-8"))


def remove_temporaries(folder: Path, pattern: str = "*") -> None:
    """Removes what ``atomic_file`` and ``atomic_directory`` left in a folder when they were killed.

    What another user left, and this one may not remove, stays.

    Args:
        folder: the folder; it need not exist.
        pattern: of the names that were being written.
    """
    for path in folder.glob(f".{pattern}.*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(PermissionError):
                path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Asks the system to put the file's data on disk before anything later."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV, with a header and lines that end alike on all systems.

    Spreadsheets run text that begins like a formula, and labels are such text where somebody made
    them so: an apostrophe before it makes it text again. Numbers stay as they are.
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator=_QUOTED)
    writer.writerow(map(_as_text, columns))
    writer.writerows(map(_as_text, row) for row in rows)
    return "".join(f"{line.removesuffix(_QUOTED)}\n" for line in lines)


_QUOTED = "\r\n"
"""Line ends that are quoted inside of cells: ``csv`` takes those that it ends lines with itself."""


class _Lines(list[str]):
    """The lines that are written."""

    def write(self, line: str, /) -> None:
        self.append(line)


def _as_text(cell: Any) -> Any:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
