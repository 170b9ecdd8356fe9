"""Makes ``data/features/<features>`` of store files: hard links, the entrance, the manifest."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import MachineError
from pipeline.extraction.plan import RowPlan
from pipeline.files import atomic_directory, sha256_file
from pipeline.store import layout
from pipeline.store.keys import Recipe
from pipeline.store.local import Linker, LocalStore
from pipeline.store.manifest import Manifest, ShardEntry, write_manifest
from pipeline.store.writer import key_array, row_offsets, write_entrance


def assemble(
    folder: Path,
    *,
    plan: RowPlan,
    store: LocalStore,
    recipe: Recipe,
    layers: Sequence[int],
    width: int,
    depth: int,
    texts_sha256: str,
) -> Linker:
    """Links the shards into ``folder`` and writes ``features.h5`` and, last, the manifest.

    Returns:
        The linker, which knows how many bytes had to be copied.
    """
    linker = Linker()
    files = [layout.TOKENS, *(layout.layer_file(layer) for layer in layers)]
    with atomic_directory(folder) as temporary:
        entries = []
        for shard in plan.shards:
            for file in files:
                linker.link(
                    store.path(shard.name, file), temporary / layout.shard_path(shard.name, file)
                )
            digests = {
                file: sha256_file(temporary / layout.shard_path(shard.name, file)) for file in files
            }
            entries.append(ShardEntry(shard.name, shard.end - shard.first, shard.tokens, digests))
        write_entrance(
            temporary / layout.ENTRANCE,
            shards=entries,
            layers=layers,
            width=width,
            dtype=recipe.storage_dtype,
            example_ids=plan.example_ids,
            example_rows=plan.example_rows,
            row_offsets=row_offsets(plan.lengths),
            row_keys=key_array(plan.keys),
        )
        manifest = Manifest(
            recipe=recipe.as_json(),
            layers=tuple(layers),
            width=width,
            depth=depth,
            dtype=recipe.storage_dtype,
            texts_sha256=texts_sha256,
            entrance_sha256=sha256_file(temporary / layout.ENTRANCE),
            shards=tuple(entries),
        )
        write_manifest(temporary, manifest)
    return linker


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Stops before work begins that the disk cannot hold.

    Raises:
        MachineError: fewer bytes are free than needed.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise MachineError(
            f"{folder}: {needed / 1e9:.1f} GB are to be written and {free / 1e9:.1f} GB are free; "
            "free some space, or point FEATURE_STORE to a larger disk"
        )
