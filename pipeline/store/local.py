"""The local store: every shard that was ever computed here, shared by all experiments.

``<store>/<recipe>/<shard>/<file>``         a shard's files, as a features row has them
``<store>/<recipe>/<shard>/<file>.sha256``  the digest of each, written before it
``<store>/<recipe>/recipe.json``            what the folder's name is the digest of
``<store>/<recipe>/log.jsonl``              what computed which shard
``<store>/digests.jsonl``                   files that were hashed already (``digests.py``)
``<store>/lock``                            who is writing (``lock.py``)

DVC neither tracks nor pushes it: a features row in ``data/features`` is made of hard links into it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.core.files import READ_ONLY, remove_temporaries, write_bytes, write_text
from pipeline.features import layout
from pipeline.features.hash_cache import CACHE_FILE, HashCache
from pipeline.store.index import RowIndex
from pipeline.store.keys import Recipe
from pipeline.store.links import Linker

RECIPE = "recipe.json"
LOG = "log.jsonl"
_DIGEST = ".sha256"


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
        """Path of a shard's file, which need not be there."""
        return self.folder / shard / file

    def holds(self, shard: str, file: str) -> bool:
        """Whether a file is there, with the bytes that were written."""
        path = self.path(shard, file)
        if not path.is_file():
            return False
        if self._hash_cache.sha256(path) == self.digest(shard, file):
            return True
        self._found_damaged(shard, file)
        return False

    def find(self, shard: str, file: str) -> Path | None:
        """The path of an intact file."""
        return self.path(shard, file) if self.holds(shard, file) else None

    def digest(self, shard: str, file: str) -> str | None:
        """The SHA-256 that was noted when a file was written; ``None`` where none was."""
        try:
            return _note(self.path(shard, file)).read_text(encoding="ascii").split()[0]
        except (OSError, UnicodeDecodeError, IndexError):
            return None

    def missing(self, shard: str, files: Sequence[str]) -> list[str]:
        """Files of a shard that the store does not have, or has damaged."""
        return [file for file in files if not self.holds(shard, file)]

    def shards(self) -> list[str]:
        """The names of all shards, in alphabetical order."""
        return sorted(path.name for path in self.folder.glob("*/") if path.is_dir())

    def files(self) -> Iterator[tuple[str, str]]:
        """``(shard, file)`` of everything that is there, intact or not."""
        for shard in self.shards():
            for path in sorted((self.folder / shard).glob("[!.]*.h5")):
                yield shard, path.name

    def index(self) -> RowIndex:
        """Index of all stored rows."""
        return RowIndex(self.shards(), self.find)

    def put(self, shard: str, file: str, data: bytes) -> None:
        """Writes a shard's file, read-only, and before it its digest."""
        path = self.path(shard, file)
        digest = hashlib.sha256(data).hexdigest()
        _write_note(path, digest)
        write_bytes(path, data, mode=READ_ONLY)
        self._hash_cache.learn(path, digest)

    def import_file(self, shard: str, file: str, source: Path, digest: str, linker: Linker) -> bool:
        """Takes a file from elsewhere, so that both are one; where the store has it, the other's.

        Returns:
            Whether the store gained it: not if it had it, nor if the bytes are not those of the
            digest.
        """
        if not source.is_file():
            return False
        path = self.path(shard, file)
        had = self.holds(shard, file)
        if had and (self.digest(shard, file) != digest or path.samefile(source)):
            return False
        if not self.matches(source, digest):
            self._found_damaged(shard, file)
            return False
        _write_note(path, digest)
        linker.link(source, path)
        return not had

    def matches(self, source: Path, digest: str) -> bool:
        """Whether a file, of the store or not, is there and holds what a digest says."""
        return source.is_file() and self._hash_cache.sha256(source) == digest

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
        for shard in self.shards():
            remove_temporaries(self.folder / shard)

    def log(self, entry: dict[str, Any]) -> None:
        """Appends a line to the log of what computed which shard, with what, how fast."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, sort_keys=True) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """The entries of the log; a line that a killed process left half is passed over."""
        try:
            lines = (self.folder / LOG).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        entries = []
        for line in lines:
            with suppress(ValueError):
                entries.append(json.loads(line))
        return entries

    def write_recipe(self, recipe: Recipe) -> None:
        """Says in words what the folder's name is the digest of."""
        path = self.folder / RECIPE
        if not path.exists():
            write_text(path, json.dumps(recipe.as_json(), indent=2, sort_keys=True) + "\n")


def all_stores(root: Path, hash_cache: HashCache | None = None) -> list[LocalStore]:
    """The shards of every recipe in a store folder."""
    return [LocalStore(path.parent, hash_cache) for path in sorted(root.glob(f"*/{RECIPE}"))]


def _note(path: Path) -> Path:
    return path.with_name(path.name + _DIGEST)


def _write_note(path: Path, digest: str) -> None:
    """Write a note as ``sha256sum`` does, so that ``sha256sum --check *.sha256`` reads it.

    Not synced: a note that a power failure empties makes its file count as missing.
    """
    text = f"{digest}  {path.name}\n"
    write_bytes(_note(path), text.encode("ascii"), durable=False)
