"""Work of an extraction: what of its plan the store lacks, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.extraction.plan import RowPlan, Shard
from pipeline.features import layout
from pipeline.store.index import RowIndex
from pipeline.store.keys import Recipe
from pipeline.store.local import LocalStore


@dataclass(frozen=True)
class ShardWork:
    """Missing part of one shard: what the store lacks.

    Attributes:
        shard: the shard.
        files: names of the missing files.
        layers: the layers among them.
        compute: rows to run the encoder on, for lack of a shard that has them at all these layers.
        tokens: tokens of those rows.
        bytes: size of the states to write.
    """

    shard: Shard
    files: list[str]
    layers: list[int]
    compute: list[int]
    tokens: int
    bytes: int


def plan_work(
    plan: RowPlan,
    store: LocalStore,
    index: RowIndex,
    recipe: Recipe,
    *,
    layers: Sequence[int],
    width: int,
) -> list[ShardWork]:
    """Compares a plan with the store, shard by shard; complete shards are left out."""
    token_bytes = np.dtype(recipe.storage_dtype).itemsize * width
    work = []
    for shard in plan.shards:
        files = store.missing(
            shard.name, [layout.TOKENS, *(layout.layer_file(layer) for layer in layers)]
        )
        if not files:
            continue
        missing = [layer for layer in layers if layout.layer_file(layer) in files]
        compute = [
            row
            for row in range(shard.first, shard.end)
            if any(index.find(plan.keys[row], layer) is None for layer in missing)
        ]
        work.append(
            ShardWork(
                shard=shard,
                files=files,
                layers=missing,
                compute=compute,
                tokens=int(plan.lengths[compute].sum(dtype=np.int64)),
                bytes=shard.tokens * token_bytes * len(missing),
            )
        )
    return work


def bytes_new_to_dvc(
    plan: RowPlan, work: Sequence[ShardWork], store: LocalStore, layers: Sequence[int]
) -> int:
    """Bytes of states that DVC's cache will have to take in.

    What it has already shares its inode with the store's file: a file with one name is new to it.
    """
    lacking = {(item.shard.name, layer) for item in work for layer in item.layers}
    held = [
        store.path(shard.name, layout.layer_file(layer)).stat()
        for shard in plan.shards
        for layer in layers
        if (shard.name, layer) not in lacking
    ]
    unshared = sum(status.st_size for status in held if status.st_nlink == 1)
    return unshared + sum(item.bytes for item in work)
