"""Cached checksums of files, each read once for as long as it stays the same file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.core.json_lines import append_line, read_lines
from pipeline.core.reading import open_regular

CACHE_FILE = "digests.jsonl"
"""Name of the cache file in a store folder."""

_SOUND = "sound"
_CHUNK = 1 << 20
_Identity = tuple[int, int, int, int]


class HashCache:
    """SHA-256 of files, and whether they are sound, by device, inode, size and time of change.

    A file that changes without any of these changing (a failing disk) is remembered as it was:
    ``verify`` therefore trusts no memory.

    Args:
        memory: the file that remembers between processes, appended to; ``None`` for this process
            alone. It may be deleted at any time.
        trust: whether to believe what an earlier process wrote into the memory.
    """

    def __init__(self, memory: Path | None = None, *, trust: bool = True) -> None:
        self._memory = memory
        self._remembered, sound = _read(memory) if memory else ({}, set())
        self._known = dict(self._remembered) if trust else {}
        self._sound = sound if trust else set()

    def sha256(self, path: Path, *, follow: bool = True) -> str:
        """SHA-256 of a file in hexadecimal; reads the file only where it is not known.

        Args:
            path: the file.
            follow: whether it may be a symbolic link; never where others may write to the folder.

        Raises:
            FileNotFoundError: there is no such file.
            SpecialFileError: it is no regular file.
        """
        identity = _identity(path.stat() if follow else path.lstat())
        if identity not in self._known:
            with open_regular(path, follow=follow) as file:
                identity = _identity(os.fstat(file.fileno()))
                self._known[identity] = _sha256(file)
            if self._known[identity] != self._remembered.get(identity):
                self._remember(identity)
        return self._known[identity]

    def is_sound(self, path: Path, look: Callable[[], bool]) -> bool:
        """Whether a file holds what its format says, values included; looked at once.

        Args:
            path: the file.
            look: tells; asked only where it is not known.
        """
        identity = _identity(path.stat())
        if identity not in self._sound:
            if not look():
                return False
            self._sound.add(identity)
            self._append([_SOUND, *identity])
        return True

    def learn(self, path: Path, digest: str) -> None:
        """Takes the digest of a file that was written a moment ago."""
        identity = _identity(path.lstat())
        self._known[identity] = digest
        self._remember(identity)

    def _remember(self, identity: _Identity) -> None:
        self._append([*identity, self._known[identity]])

    def _append(self, entry: list[str | int]) -> None:
        if self._memory is None:
            return
        # That it cannot be written (a full disk, another user's store) costs time later, and
        # nothing else.
        with suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            append_line(self._memory, entry)


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(memory: Path) -> tuple[dict[_Identity, str], set[_Identity]]:
    """Entries of a cache file: digests, and files that were looked at."""
    known: dict[_Identity, str] = {}
    sound: set[_Identity] = set()
    for value in read_lines(memory):
        match value:
            case [int(device), int(inode), int(size), int(changed), str(digest)]:
                known[device, inode, size, changed] = digest
            case [str(word), int(device), int(inode), int(size), int(changed)] if word == _SOUND:
                sound.add((device, inode, size, changed))
    return known, sound
