"""Import of a finished row's shards into the store, from DVC's cache or the workspace."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from pipeline.core.errors import StoreError
from pipeline.features import layout
from pipeline.features.manifest import Manifest, ShardEntry
from pipeline.features.shards import all_finite, map_layer, read_tokens
from pipeline.store.dvc_cache import DvcCache
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore

logger = logging.getLogger(__name__)


def import_from_dvc(
    store: LocalStore, cache: DvcCache, linker: Linker, *, keys: Iterable[bytes], width: int
) -> list[str]:
    """Imports what DVC's cache has of some rows, according to ``dvc.lock``.

    Where the store has a file as well, the two become one on disk.

    Args:
        store: takes the shards.
        cache: DVC's cache.
        linker: links them; where it has to copy, what nobody asked for would cost disk.
        keys: of the rows that are wanted; a shard without any of them is left alone.
        width: of the encoder's states.

    Returns:
        The shards of which a file was imported.
    """
    imported: list[str] = []
    wanted = set(keys)
    for folder in cache.folders():
        manifest = folder.manifest()
        if manifest is not None:
            imported += import_files(
                store, manifest, folder.files, linker, wanted=wanted, width=width
            )
    return imported


def import_files(
    store: LocalStore,
    manifest: Manifest,
    files: Mapping[str, Path],
    linker: Linker,
    *,
    width: int,
    wanted: Collection[bytes] | None = None,
) -> list[str]:
    """Imports the intact files of one features row; see ``import_from_dvc``.

    Whoever could write to DVC's remote may have made them: a file that is not as the format says is
    left where it is.

    Args:
        store: takes them, if they are of its recipe.
        manifest: of the features row.
        files: where each file is, by its path in the features' folder.
        linker: links them.
        width: of the encoder's states.
        wanted: keys of rows, of which a shard must have one; ``None`` for all shards.
    """
    if manifest.recipe_digest()[: layout.NAME_DIGITS] != store.folder.name:
        return []
    if manifest.width != width:
        logger.info("features of width %d, not %d, are left alone", manifest.width, width)
        return []
    imported: dict[str, None] = {}
    for shard in manifest.shards:
        if wanted is not None and not _has_any(shard, files, store, wanted):
            continue
        for file, digest in shard.files.items():
            source = files.get(layout.shard_path(shard.name, file))
            is_sound = partial(_is_sound, manifest, shard, file)
            if source and store.import_file(
                shard.name, file, source, digest, linker, is_sound=is_sound
            ):
                imported[shard.name] = None
    return list(imported)


def _is_sound(manifest: Manifest, shard: ShardEntry, file: str, source: Path) -> bool:
    """Whether a file is as the format says; logs what it is instead."""
    try:
        if file == layout.TOKENS:
            held = read_tokens(source, shard=shard.name)
            problem = (held.rows, held.tokens) != (shard.rows, shard.tokens) and "has other rows"
        else:
            layer = next(one for one in manifest.layers if layout.layer_file(one) == file)
            states = map_layer(
                source, layer, tokens=shard.tokens, width=manifest.width, dtype=manifest.dtype
            )
            problem = not all_finite(states) and "has states that are not finite"
    except StoreError as error:
        logger.info("%s; it is left alone", error)
        return False
    if problem:
        logger.info("%s: %s; it is left alone", source, problem)
    return not problem


def _has_any(
    shard: ShardEntry, files: Mapping[str, Path], store: LocalStore, wanted: Collection[bytes]
) -> bool:
    source = files.get(layout.shard_path(shard.name, layout.TOKENS))
    if source is None or not store.matches(source, shard.files[layout.TOKENS]):
        return True  # what it has cannot be read: let the store see for itself
    try:
        keys = read_tokens(source, shard=shard.name).row_keys
    except StoreError:
        return True
    return any(key.tobytes() in wanted for key in keys)
