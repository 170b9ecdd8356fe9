"""Assembly of ``data/features/<features>`` from store files: links, ``features.h5``, manifest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.errors import MachineError, StoreError
from pipeline.core.files import READ_ONLY, atomic_directory, write_bytes
from pipeline.extraction.plan import RowPlan
from pipeline.features import layout
from pipeline.features.manifest import Manifest, ShardEntry, write_manifest
from pipeline.store.keys import Recipe
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore
from pipeline.store.writer import index_file, key_array, row_offsets


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
    linker: Linker,
) -> None:
    """Links the shards into ``folder`` and writes ``features.h5`` and, last, the manifest.

    Raises:
        StoreError: a file that the store had a moment ago is gone.
    """
    files = [layout.TOKENS, *(layout.layer_file(layer) for layer in layers)]
    with atomic_directory(folder) as temporary:
        entries = []
        for shard in plan.shards:
            digests: dict[str, str] = {}
            for file in files:
                source, digest = store.path(shard.name, file), store.digest(shard.name, file)
                if digest is None:
                    raise StoreError(f"{source}: has vanished; run `dvc repro` again")
                linker.link(source, temporary / layout.shard_path(shard.name, file))
                digests[file] = digest
            entries.append(ShardEntry(shard.name, shard.end - shard.first, shard.tokens, digests))
        index_bytes = index_file(
            shards=entries,
            layers=layers,
            width=width,
            dtype=recipe.storage_dtype,
            example_ids=plan.rows.example_ids,
            example_rows=plan.rows.example_rows,
            row_offsets=row_offsets(plan.lengths),
            row_keys=key_array(plan.keys),
        )
        write_bytes(temporary / layout.INDEX_FILE, index_bytes, mode=READ_ONLY)
        manifest = Manifest(
            recipe=recipe.as_json(),
            layers=tuple(layers),
            width=width,
            depth=depth,
            dtype=recipe.storage_dtype,
            texts_sha256=texts_sha256,
            entrance_sha256=hashlib.sha256(index_bytes).hexdigest(),
            shards=tuple(entries),
            pairs="apart" if plan.rows.pairs == "apart" else None,
        )
        write_manifest(temporary, manifest)


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that a folder is on, or would be on."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Refuse work that the disk cannot hold, before it begins.

    Raises:
        MachineError: fewer bytes are free than needed.
    """
    free = free_bytes(folder)
    if needed > free:
        raise MachineError(
            f"{folder}: {needed / 1e9:.1f} GB are to be written and {free / 1e9:.1f} GB are free; "
            "free some space, or point FEATURE_STORE to a larger disk"
        )
