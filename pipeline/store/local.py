"""The local store: every shard that was ever computed here, shared by all experiments.

``<store>/<recipe>/<shard>/<file>``         a shard's files, as a features row has them
``<store>/<recipe>/<shard>/<file>.sha256``  the digest of each, written before it
``<store>/<recipe>/recipe.json``            what the folder's name is the digest of
``<store>/<recipe>/log.jsonl``              what computed which shard
``<store>/digests.jsonl``                   files that were hashed already (``digests.py``)
``<store>/lock``                            who is writing (``lock.py``)
``<store>/quick``                           links to what a quick look reads, while it does

DVC neither tracks nor pushes it: a features row in ``data/features`` is made of hard links into it.

Several users may share it. What another one has put there is neither followed, where it is a link,
nor waited for, where it is a pipe: a store has folders and regular files only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.core.files import READ_ONLY, remove_temporaries, write_bytes, write_text
from pipeline.core.json_lines import append_line, read_lines
from pipeline.core.paths import member
from pipeline.core.reading import read_bytes
from pipeline.features import layout
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.store.index import RowIndex
from pipeline.store.keys import Recipe
from pipeline.store.links import Linker

RECIPE = "recipe.json"
LOG = "log.jsonl"
_DIGEST = ".sha256"
_LONGEST_NOTE = 1 << 12
_NOTED = re.compile(rb"([0-9a-f]{64})\s")


class LocalStore:
    """The shards of one recipe in a store folder.

    Attributes:
        folder: where they are.
        damaged: ``(shard, file)`` found damaged since this object was made, here or where they
            were to be imported from; they count as missing.
    """

    def __init__(self, folder: Path, hash_cache: HashCache | None = None) -> None:
        self.folder = folder
        self.damaged: list[tuple[str, str]] = []
        self._hash_cache = hash_cache or HashCache(folder.parent / CACHE_FILE)

    @classmethod
    def of(cls, root: Path, recipe: Recipe, hash_cache: HashCache | None = None) -> LocalStore:
        """The shards of a recipe."""
        return cls(root / recipe.digest()[: layout.NAME_DIGITS], hash_cache)

    def path(self, shard: str, file: str) -> Path:
        """Path of a shard's file, which need not be there.

        Raises:
            UnsafeNameError: the names are none of a folder and of a file in it.
        """
        return member(member(self.folder, shard), file)

    def holds(self, shard: str, file: str) -> bool:
        """Whether a file is there, with the bytes that were written."""
        path = self.path(shard, file)
        if not self._has(path):
            return False
        if self._hash_cache.sha256(path, follow=False) == self.digest(shard, file):
            return True
        self._found_damaged(shard, file)
        return False

    def find(self, shard: str, file: str) -> Path | None:
        """The path of an intact file."""
        return self.path(shard, file) if self.holds(shard, file) else None

    def digest(self, shard: str, file: str) -> str | None:
        """The SHA-256 that was noted when a file was written; ``None`` where none was."""
        try:
            note = read_bytes(_note(self.path(shard, file)), limit=_LONGEST_NOTE, follow=False)
        except OSError:
            return None
        found = _NOTED.match(note)
        return found[1].decode("ascii") if found else None

    def missing(self, shard: str, files: Sequence[str]) -> list[str]:
        """Files of a shard that the store does not have, or has damaged."""
        return [file for file in files if not self.holds(shard, file)]

    def shards(self) -> list[str]:
        """The names of all shards, in alphabetical order."""
        if self.folder.is_symlink():
            return []
        return [
            entry.name
            for entry in _entries(self.folder)
            if layout.is_shard_name(entry.name) and entry.is_dir(follow_symlinks=False)
        ]

    def files(self) -> Iterator[tuple[str, str]]:
        """``(shard, file)`` of everything that is there, intact or not."""
        for shard in self.shards():
            for entry in _entries(self.folder / shard):
                if layout.is_shard_file(entry.name) and entry.is_file(follow_symlinks=False):
                    yield shard, entry.name

    def index(self, *, width: int, dtype: str) -> RowIndex:
        """Index of all stored rows, whose states are of this width and type.

        Raises:
            StoreError: a file is intact, and not as the format says.
        """
        return RowIndex(self.shards(), self.find, width=width, dtype=dtype)

    def put(self, shard: str, file: str, *data: bytes | memoryview) -> None:
        """Writes a shard's file, read-only, and before it its digest.

        Args:
            shard: name of its shard.
            file: its name.
            data: its parts, one after another.

        Raises:
            StoreError: its folder is a link.
        """
        path = self._place(shard, file)
        sha256 = hashlib.sha256()
        for part in data:
            sha256.update(part)
        digest = sha256.hexdigest()
        _write_note(path, digest)
        write_bytes(path, *data, mode=READ_ONLY)
        self._hash_cache.learn(path, digest)

    def import_file(
        self,
        shard: str,
        file: str,
        source: Path,
        digest: str,
        linker: Linker,
        *,
        is_sound: Callable[[Path], bool] = lambda _: True,
    ) -> bool:
        """Takes a file from elsewhere, so that both are one; where the store has it, the other's.

        Args:
            shard: name of its shard.
            file: its name.
            source: where it is.
            digest: its SHA-256.
            linker: links it.
            is_sound: whether a file that the store has not is what the format says.

        Returns:
            Whether the store gained it: not if it had it, nor if the bytes are not those of the
            digest, or are unsound.

        Raises:
            StoreError: the store's folder is a link.
        """
        if not source.is_file():
            return False
        path = self._place(shard, file)
        had = self.holds(shard, file)
        if had and (self.digest(shard, file) != digest or path.samefile(source)):
            return False
        if not self.matches(source, digest):
            self._found_damaged(shard, file)
            return False
        if not had and not is_sound(source):
            return False
        _write_note(path, digest)
        linker.link(source, path)
        return not had

    def matches(self, source: Path, digest: str) -> bool:
        """Whether a file, of the store or not, is there and holds what a digest says."""
        return source.is_file() and self._hash_cache.sha256(source) == digest

    def _has(self, path: Path) -> bool:
        """Whether a shard's file is there, and neither it nor its folders are links."""
        return (
            not self.folder.is_symlink()
            and not path.parent.is_symlink()
            and not path.is_symlink()
            and path.is_file()
        )

    def _place(self, shard: str, file: str) -> Path:
        """Path of a shard's file that is to be written; its folder is made."""
        path = self.path(shard, file)
        _make_folder(self.folder)
        _make_folder(path.parent)
        return path

    def _found_damaged(self, shard: str, file: str) -> None:
        if (shard, file) not in self.damaged:
            self.damaged.append((shard, file))

    def remove(self, shard: str, file: str) -> None:
        """Removes a file, its digest, and the shard's folder once that is empty."""
        path = self.path(shard, file)
        path.unlink(missing_ok=True)
        _note(path).unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()

    def sweep(self) -> None:
        """Removes what killed writers left half-written; for the holder of the lock."""
        if not self.folder.is_symlink():
            remove_temporaries(self.folder)
        for shard in self.shards():
            remove_temporaries(self.folder / shard)

    def log(self, entry: dict[str, Any]) -> None:
        """Appends a line to the log of what computed which shard, with what, how fast.

        Raises:
            StoreError: the store's folder is a link.
        """
        _make_folder(self.folder)
        append_line(self.folder / LOG, entry)

    def read_log(self) -> list[dict[str, Any]]:
        """The entries of the log; a line that a killed process left half is passed over."""
        return [entry for entry in read_lines(self.folder / LOG) if isinstance(entry, dict)]

    def write_recipe(self, recipe: Recipe) -> None:
        """Says in words what the folder's name is the digest of.

        Raises:
            StoreError: the store's folder is a link.
        """
        _make_folder(self.folder)
        path = self.folder / RECIPE
        if path.is_symlink() or not path.exists():
            write_text(path, json.dumps(recipe.as_json(), indent=2, sort_keys=True) + "\n")


def all_stores(root: Path, hash_cache: HashCache | None = None) -> list[LocalStore]:
    """The shards of every recipe in a store folder."""
    return [
        LocalStore(path.parent, hash_cache)
        for path in sorted(root.glob(f"*/{RECIPE}"))
        if layout.is_shard_name(path.parent.name) and not path.parent.is_symlink()
    ]


def _make_folder(folder: Path) -> None:
    """Makes a folder of the store; no link is written through, as it may lead anywhere."""
    if folder.is_symlink():
        raise StoreError(f"{folder}: is a symbolic link, and a store has none; remove it")
    folder.mkdir(parents=True, exist_ok=True)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder by name; none where it has just been removed."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _note(path: Path) -> Path:
    return path.with_name(path.name + _DIGEST)


def _write_note(path: Path, digest: str) -> None:
    """Write a note as ``sha256sum`` does, so that ``sha256sum --check *.sha256`` reads it.

    Not synced: a note that a power failure empties makes its file count as missing.
    """
    text = f"{digest}  {path.name}\n"
    write_bytes(_note(path), text.encode("ascii"), durable=False)
