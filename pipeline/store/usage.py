"""Usage of the disk by the store: what it takes, what shares it, what nothing needs any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import StoreError
from pipeline.core.paths import inside
from pipeline.features import layout
from pipeline.features.manifest import Manifest, read_manifest
from pipeline.store.local import LocalStore


@dataclass(frozen=True)
class RowUsage:
    """One layer of one features row, or its tokens.

    Attributes:
        features: the features row.
        part: ``layer 4``, or ``tokens``.
        tokens: tokens it has states of.
        shards: files it is made of.
        bytes: their size.
        shared: how much of that other features rows use as well.
    """

    features: str
    part: str
    tokens: int
    shards: int
    bytes: int
    shared: int


@dataclass(frozen=True)
class StoreUsage:
    """The local store of one recipe.

    Attributes:
        recipe: the name of its folder.
        shards: how many it has.
        bytes: size of their files.
        unused: how much of that nothing else links to: what ``gc`` frees.
    """

    recipe: str
    shards: int
    bytes: int
    unused: int


def features_usage(folders: Sequence[Path]) -> list[RowUsage]:
    """Size and sharing of every layer of every features row; damaged rows are left out."""
    manifests = _manifests(folders)
    users: dict[tuple[str, str, str], set[Path]] = defaultdict(set)
    for folder, manifest in manifests.items():
        for shard in manifest.shards:
            for file in shard.files:
                users[manifest.recipe_digest(), shard.name, file].add(folder)
    usage = []
    for folder, manifest in manifests.items():
        recipe = manifest.recipe_digest()
        parts = [("tokens", layout.TOKENS)] + [
            (f"layer {layer}", layout.layer_file(layer)) for layer in manifest.layers
        ]
        for part, file in parts:
            sizes = {
                shard.name: _size(inside(folder, layout.shard_path(shard.name, file)))
                for shard in manifest.shards
            }
            shared = sum(size for name, size in sizes.items() if len(users[recipe, name, file]) > 1)
            usage.append(
                RowUsage(
                    folder.name, part, manifest.tokens, len(sizes), sum(sizes.values()), shared
                )
            )
    return usage


def store_usage(stores: Sequence[LocalStore], folders: Sequence[Path]) -> list[StoreUsage]:
    """Size of the local store, a recipe at a time."""
    used = _used_files(folders)
    return [
        StoreUsage(
            recipe=store.folder.name,
            shards=len(store.shards()),
            bytes=sum(_size(store.path(shard, file)) for shard, file in store.files()),
            unused=sum(_size(store.path(*place)) for place in _unused(store, used)),
        )
        for store in stores
    ]


def collect_garbage(
    stores: Sequence[LocalStore], folders: Sequence[Path], *, dry_run: bool
) -> tuple[int, int]:
    """Removes the files that only the store has; for the holder of the store's lock.

    A file stays if anything else links to it (a workspace, DVC's cache) or, where links were
    refused, if a features row of this workspace is made of it.

    Returns:
        How many files, and how many bytes, were removed, or would be.
    """
    used = _used_files(folders)
    files = size = 0
    for store in stores:
        if not dry_run:
            store.sweep()
        for shard, file in list(_unused(store, used)):
            files += 1
            size += _size(store.path(shard, file))
            if not dry_run:
                store.remove(shard, file)
    return files, size


def _unused(store: LocalStore, used: set[tuple[str, str, str]]) -> list[tuple[str, str]]:
    return [
        (shard, file)
        for shard, file in store.files()
        if (store.folder.name, shard, file) not in used and _links(store.path(shard, file)) == 1
    ]


def _used_files(folders: Sequence[Path]) -> set[tuple[str, str, str]]:
    """``(recipe, shard, file)`` of everything that features rows of this workspace hold."""
    return {
        (manifest.recipe_digest()[: layout.NAME_DIGITS], shard.name, file)
        for manifest in _manifests(folders).values()
        for shard in manifest.shards
        for file in shard.files
    }


def _manifests(folders: Sequence[Path]) -> dict[Path, Manifest]:
    manifests = {}
    for folder in folders:
        try:
            manifests[folder] = read_manifest(folder)
        except StoreError:
            continue
    return manifests


def _links(path: Path) -> int:
    try:
        return path.lstat().st_nlink
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
