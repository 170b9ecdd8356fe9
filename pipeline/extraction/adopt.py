"""Takes shards into the store that a finished features row has: DVC's cache, or the workspace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.store import layout
from pipeline.store.dvc_cache import DvcCache
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore
from pipeline.store.manifest import Manifest


def adopt_from_dvc(store: LocalStore, cache: DvcCache, linker: Linker) -> list[str]:
    """Adopts what DVC's cache has of a recipe, according to ``dvc.lock``.

    Where the store has a file as well, the two become one on disk.

    Returns:
        The shards of which a file was adopted.
    """
    adopted: list[str] = []
    for folder in cache.folders():
        manifest = folder.manifest()
        if manifest is not None:
            adopted += adopt_files(store, manifest, folder.files, linker)
    return adopted


def adopt_files(
    store: LocalStore, manifest: Manifest, files: Mapping[str, Path], linker: Linker
) -> list[str]:
    """Adopts the intact files of one features row; see ``adopt_from_dvc``.

    Args:
        store: takes them, if they are of its recipe.
        manifest: of the features row.
        files: where each file is, by its path in the features' folder.
        linker: links them.
    """
    if manifest.recipe_digest()[: layout.NAME_DIGITS] != store.folder.name:
        return []
    adopted: dict[str, None] = {}
    for shard in manifest.shards:
        for file, digest in shard.files.items():
            source = files.get(layout.shard_path(shard.name, file))
            if source and store.adopt(shard.name, file, source, digest, linker):
                adopted[shard.name] = None
    return list(adopted)
