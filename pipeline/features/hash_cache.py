"""Cached checksums of files, each read once for as long as it stays the same file."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from pipeline.core.files import sha256_file

CACHE_FILE = "digests.jsonl"
"""Name of the cache file in a store folder."""

_Identity = tuple[int, int, int, int]


class HashCache:
    """SHA-256 of files, remembered by device, inode, size and time of change.

    A file that changes without any of these changing (a failing disk) is remembered as it was:
    ``verify`` therefore trusts no memory.

    Args:
        memory: the file that remembers between processes, appended to; ``None`` for this process
            alone. It may be deleted at any time.
        trust: whether to believe what an earlier process wrote into the memory.
    """

    def __init__(self, memory: Path | None = None, *, trust: bool = True) -> None:
        self._memory = memory
        self._remembered = _read(memory) if memory else {}
        self._known = dict(self._remembered) if trust else {}

    def sha256(self, path: Path) -> str:
        """SHA-256 of a file in hexadecimal; reads the file only where it is not known.

        Raises:
            FileNotFoundError: there is no such file.
        """
        identity = _identity(path)
        if identity not in self._known:
            self._known[identity] = sha256_file(path)
            if self._known[identity] != self._remembered.get(identity):
                self._remember(identity)
        return self._known[identity]

    def learn(self, path: Path, digest: str) -> None:
        """Takes the digest of a file that was written a moment ago."""
        identity = _identity(path)
        self._known[identity] = digest
        self._remember(identity)

    def _remember(self, identity: _Identity) -> None:
        if self._memory is None:
            return
        # One short write: processes that append at once do not mix. That it cannot be written
        # (a full disk, another user's store) costs time later, and nothing else.
        line = json.dumps([*identity, self._known[identity]]) + "\n"
        with suppress(OSError):
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            with self._memory.open("a", encoding="utf-8") as file:
                file.write(line)


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(memory: Path) -> dict[_Identity, str]:
    """Entries of a cache file; lines that a killed process left half are passed over."""
    try:
        lines = memory.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    known: dict[_Identity, str] = {}
    for line in lines:
        with suppress(ValueError):
            match json.loads(line):
                case [int(device), int(inode), int(size), int(changed), str(digest)]:
                    known[device, inode, size, changed] = digest
    return known
