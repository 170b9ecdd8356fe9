"""Import of a finished row's shards into the store, from DVC's cache or the workspace."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pipeline.features import layout
from pipeline.features.manifest import Manifest, ShardEntry
from pipeline.store.dvc_cache import DvcCache
from pipeline.store.index import read_keys
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore


def import_from_dvc(
    store: LocalStore, cache: DvcCache, linker: Linker, *, keys: Iterable[bytes]
) -> list[str]:
    """Imports what DVC's cache has of some rows, according to ``dvc.lock``.

    Where the store has a file as well, the two become one on disk.

    Args:
        store: takes the shards.
        cache: DVC's cache.
        linker: links them; where it has to copy, what nobody asked for would cost disk.
        keys: of the rows that are wanted; a shard without any of them is left alone.

    Returns:
        The shards of which a file was imported.
    """
    imported: list[str] = []
    wanted = set(keys)
    for folder in cache.folders():
        manifest = folder.manifest()
        if manifest is not None:
            imported += import_files(store, manifest, folder.files, linker, wanted=wanted)
    return imported


def import_files(
    store: LocalStore,
    manifest: Manifest,
    files: Mapping[str, Path],
    linker: Linker,
    *,
    wanted: Collection[bytes] | None = None,
) -> list[str]:
    """Imports the intact files of one features row; see ``import_from_dvc``.

    Args:
        store: takes them, if they are of its recipe.
        manifest: of the features row.
        files: where each file is, by its path in the features' folder.
        linker: links them.
        wanted: keys of rows, of which a shard must have one; ``None`` for all shards.
    """
    if manifest.recipe_digest()[: layout.NAME_DIGITS] != store.folder.name:
        return []
    imported: dict[str, None] = {}
    for shard in manifest.shards:
        if wanted is not None and not _has_any(shard, files, store, wanted):
            continue
        for file, digest in shard.files.items():
            source = files.get(layout.shard_path(shard.name, file))
            if source and store.import_file(shard.name, file, source, digest, linker):
                imported[shard.name] = None
    return list(imported)


def _has_any(
    shard: ShardEntry, files: Mapping[str, Path], store: LocalStore, wanted: Collection[bytes]
) -> bool:
    source = files.get(layout.shard_path(shard.name, layout.TOKENS))
    if source is None or not store.matches(source, shard.files[layout.TOKENS]):
        return True  # what it has cannot be read: let the store see for itself
    return any(key.tobytes() in wanted for key in read_keys(source))
