"""The local store: every shard that was ever computed here, shared by all experiments.

``<store>/<recipe>/<shard>/`` holds a shard's files; ``<store>/<recipe>/log.jsonl`` says what
computed them. DVC neither tracks nor pushes it: a features row in ``data/features`` is made of hard
links into it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pipeline.files import write_text
from pipeline.store import layout
from pipeline.store.keys import Recipe


class LocalStore:
    """The shards of one recipe in a store folder."""

    def __init__(self, root: Path, recipe: Recipe) -> None:
        self.folder = root / recipe.digest()[:32]
        self._log = self.folder / "log.jsonl"

    def path(self, shard: str, file: str) -> Path:
        """Where a shard's file is, or would be."""
        return self.folder / shard / file

    def missing(self, shard: str, files: Sequence[str]) -> list[str]:
        """Which of a shard's files the store does not have."""
        return [file for file in files if not self.path(shard, file).is_file()]

    def index(self) -> RowIndex:
        """Where every stored row is."""
        shards = sorted(path.parent.name for path in self.folder.glob(f"*/{layout.TOKENS}"))
        return RowIndex(self, shards)

    def log(self, entry: dict[str, Any]) -> None:
        """Appends a line to the log of what computed which shard, with what, how fast."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, sort_keys=True) + "\n")

    def write_recipe(self, recipe: Recipe) -> None:
        """Says in words what the folder's name is the digest of."""
        path = self.folder / "recipe.json"
        if not path.exists():
            write_text(path, json.dumps(recipe.as_json(), indent=2, sort_keys=True) + "\n")


class RowIndex:
    """Finds rows by key over several shards of a store.

    Memory: 64 bytes per stored row, and an open memory map per shard and layer read from.
    """

    def __init__(self, store: LocalStore, shards: Sequence[str]) -> None:
        self._store = store
        self._shards = list(shards)
        keys = [_read(store.path(shard, layout.TOKENS), layout.ROW_KEYS) for shard in shards]
        counts = [len(part) for part in keys]
        self._keys = np.concatenate([np.zeros((0, layout.KEY_BYTES), np.uint8), *keys])
        self._shard_of = np.repeat(np.arange(len(counts)), counts)
        self._row_of = np.concatenate([np.arange(count) for count in [0, *counts]])
        prefixes = np.ascontiguousarray(self._keys[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        self._order = np.argsort(prefixes, kind="stable")
        self._prefixes = prefixes[self._order]
        self._maps: dict[tuple[int, int], npt.NDArray[Any] | None] = {}
        self._offsets: dict[int, npt.NDArray[np.int64]] = {}

    def find(self, key: bytes, layer: int) -> tuple[int, int] | None:
        """The shard (its position) and its row that hold ``key`` at ``layer``, if any does."""
        prefix = np.uint64(int.from_bytes(key[:8], "big"))
        position = int(np.searchsorted(self._prefixes, prefix))
        while position < len(self._prefixes) and self._prefixes[position] == prefix:
            entry = int(self._order[position])
            shard = int(self._shard_of[entry])
            if self._keys[entry].tobytes() == key and self._map(shard, layer) is not None:
                return shard, int(self._row_of[entry])
            position += 1
        return None

    def states(self, key: bytes, layer: int) -> npt.NDArray[Any]:
        """(tokens, width) in storage precision: a stored row.

        Raises:
            KeyError: no shard holds it.
        """
        found = self.find(key, layer)
        mapped = None if found is None else self._map(found[0], layer)
        if found is None or mapped is None:
            raise KeyError(key.hex())
        shard, row = found
        if shard not in self._offsets:
            path = self._store.path(self._shards[shard], layout.TOKENS)
            self._offsets[shard] = _read(path, layout.ROW_OFFSETS)
        begin, end = self._offsets[shard][row : row + 2]
        states: npt.NDArray[Any] = mapped[begin:end]
        return states

    def _map(self, shard: int, layer: int) -> npt.NDArray[Any] | None:
        if (shard, layer) not in self._maps:
            path = self._store.path(self._shards[shard], layout.layer_file(layer))
            self._maps[shard, layer] = map_dataset(path, layout.HIDDEN) if path.is_file() else None
        return self._maps[shard, layer]


def map_dataset(path: Path, name: str) -> npt.NDArray[Any]:
    """A contiguous dataset as a read-only memory map.

    Raises:
        ValueError: the dataset is not stored contiguously.
    """
    with h5py.File(path, "r") as file:
        dataset = file[name]
        shape, dtype, offset = dataset.shape, dataset.dtype, dataset.id.get_offset()
    if offset is None:
        raise ValueError(f"{path}: {name} is not contiguous")
    return np.memmap(path, dtype, "r", offset, shape)


def _read(path: Path, name: str) -> npt.NDArray[Any]:
    with h5py.File(path, "r") as file:
        values: npt.NDArray[Any] = file[name][()]
    return values


class Linker:
    """Puts store files into a folder as hard links; falls back to copies, and counts them.

    Links are refused across file systems (EXDEV), for another user's read-only file (EPERM) and
    past a file's number of links (EMLINK).
    """

    def __init__(self) -> None:
        self.copied_bytes = 0
        self.reason = ""

    def link(self, source: Path, target: Path) -> None:
        """Makes ``target`` the same file as ``source``, or a read-only copy of it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            self.reason = error.strerror or "links are refused"
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
            self.copied_bytes += target.stat().st_size
