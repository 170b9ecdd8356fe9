"""One extraction from beginning to end."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pipeline.core.environment import (
    choose_device,
    describe_device,
    describe_machine,
    is_emulated,
    use_threads,
)
from pipeline.core.errors import EncoderError
from pipeline.core.files import remove_temporaries
from pipeline.core.lock import only_writer
from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.packing import pack_tokens
from pipeline.encoder.snapshot import EncoderSnapshot
from pipeline.extraction.assemble import assemble, free_bytes, refuse_full_disk
from pipeline.extraction.compute import compute_missing, seconds_per_token
from pipeline.extraction.import_files import import_from_dvc
from pipeline.extraction.plan import RowPlan, Texts, plan_rows, read_rows
from pipeline.extraction.recipes import encoder_of, tokenizer_of
from pipeline.extraction.settings import FeaturesSettings
from pipeline.extraction.token_spool import TokenSpool
from pipeline.extraction.work import ShardWork, bytes_new_to_dvc, plan_work
from pipeline.features.layers import resolve_layer
from pipeline.store.dvc_cache import DvcCache
from pipeline.store.keys import Recipe
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore

if TYPE_CHECKING:
    from pipeline.encoder.forward import FrozenEncoder

logger = logging.getLogger(__name__)

_SAMPLED_FROM = 20_000
"""Print a time estimate above this many tokens."""


def extract(
    texts: Texts,
    *,
    texts_sha256: str,
    encoder_folder: Path,
    settings: FeaturesSettings,
    store_root: Path,
    project: Path,
    out: Path,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Writes the features of a corpus into ``out``, computing only what the store lacks.

    Args:
        texts: opens the corpus.
        texts_sha256: digest of the corpus's text file, kept in the manifest.
        encoder_folder: a materialised encoder.
        settings: layers, lengths and precision.
        store_root: the local feature store.
        project: the main checkout, whose DVC cache may hold shards.
        out: the folder to write.
        trust_remote_code: whether Python code that comes with the encoder may run.

    Returns:
        Counts of rows, tokens and truncation, the same whatever the store held.

    Raises:
        EncoderError: the encoder is damaged, lacks a layer, takes shorter texts only, or has code
            that may not run.
        DataError: a text is too long and the settings call that an error, or one of a pair fills
            the windows over the other; or pairs are to be read apart and an example is none.
        MachineError: the disk or the device does not allow it.
        StoreError: a state is not finite in the storage precision.
    """
    begin = time.perf_counter()
    snapshot = require_loadable(encoder_folder, trust_remote_code=trust_remote_code, verify=True)
    layers = resolve_layers(settings.layers, snapshot)
    recipe = recipe_of(settings, snapshot)
    device, threads = choose_device(), use_threads()
    tokenizer = tokenizer_of(encoder_folder, recipe, trust_remote_code=trust_remote_code)
    rows = read_rows(texts, recipe, settings.pairs)
    with ExitStack() as held:
        held.enter_context(only_writer(store_root, f"features {out.name}"))
        store = LocalStore.of(store_root, recipe)
        store.sweep()
        remove_temporaries(out.parent, out.name)
        dvc_cache, linker = DvcCache(project), Linker()
        if imported := import_from_dvc(
            store, dvc_cache, linker, keys=rows.keys, width=snapshot.width
        ):
            store.log({"imported": imported})
        index = store.index(width=snapshot.width, dtype=recipe.storage_dtype)
        spool = held.enter_context(TokenSpool(len(rows.keys), store_root))
        plan = plan_rows(
            rows, texts, tokenizer, recipe, index, spool, shard_tokens=settings.shard_tokens
        )
        work = plan_work(plan, store, index, recipe, layers=layers, width=snapshot.width)
        missing = sorted({layer for item in work for layer in item.layers})

        @cache
        def load_encoder() -> FrozenEncoder:
            return encoder_of(
                encoder_folder,
                recipe,
                layers=missing,
                device=device,
                trust_remote_code=trust_remote_code,
            )

        tokens = sum(item.tokens for item in work)
        size = sum(item.bytes for item in work)
        refuse_full_disk(store_root, size)
        _log_plan(plan, work, layers, len(imported))
        logger.info(
            "%s to write, %s new to DVC's cache, %s free",
            _size(size),
            _size(bytes_new_to_dvc(plan, work, store, layers)),
            _size(free_bytes(store_root)),
        )
        if tokens:
            expected = "a moment"
            if tokens > _SAMPLED_FROM:
                rate = seconds_per_token(
                    spool,
                    tokenizer,
                    load_encoder,
                    plan=plan,
                    work=work,
                    index=index,
                    recipe=recipe,
                    pack_tokens=pack_tokens(device),
                )
                expected = f"about {_duration(rate * tokens)}"
            where = describe_device(device, threads)
            if device.type != "cpu":
                where += f", {pack_tokens(device)} tokens at once"
            logger.info("computing in %s on %s, %s", recipe.compute_dtype, where, expected)
            if is_emulated(recipe.compute_dtype, device):
                logger.warning(
                    "%s is emulated here, and several times as slow as float32",
                    recipe.compute_dtype,
                )
        with tqdm(
            total=tokens, unit=" tokens", unit_scale=True, disable=None, desc="encoding"
        ) as bar:
            compute_missing(
                spool,
                tokenizer,
                load_encoder,
                plan=plan,
                work=work,
                store=store,
                index=index,
                recipe=recipe,
                width=snapshot.width,
                pack_tokens=pack_tokens(device),
                machine={
                    **describe_machine(device, threads),
                    "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                },
                progress=bar.update,
            )
        _repair_damaged(store, dvc_cache, linker)
        assemble(
            out,
            plan=plan,
            store=store,
            recipe=recipe,
            layers=layers,
            width=snapshot.width,
            depth=snapshot.depth,
            texts_sha256=texts_sha256,
            linker=linker,
        )
    if linker.copied_bytes:
        logger.info("%s copied, not linked: %s", _size(linker.copied_bytes), linker.reason)
    logger.info("done in %.1f s", time.perf_counter() - begin)
    return {"layers": layers, **plan.report()}


def recipe_of(settings: FeaturesSettings, snapshot: EncoderSnapshot) -> Recipe:
    """Recipe: settings besides the text that decide a row's values.

    Raises:
        EncoderError: the encoder takes shorter rows only.
    """
    longest = snapshot.longest_row()
    if settings.max_length > longest:
        raise EncoderError(
            f"{snapshot.folder}: takes at most {longest} tokens, "
            f"max_length is {settings.max_length}"
        )
    return Recipe(
        encoder=snapshot.fingerprint(),
        max_length=settings.max_length,
        long_texts=settings.long_texts,
        compute_dtype=settings.compute_dtype,
        storage_dtype=settings.storage_dtype,
        stride=settings.stride,
    )


def resolve_layers(layers: tuple[int, ...], snapshot: EncoderSnapshot) -> list[int]:
    """Layers counted from the start, in ascending order.

    Raises:
        EncoderError: the encoder has no such layer, or two of them are the same.
    """
    resolved: dict[int, int] = {}
    for layer in layers:
        index = resolve_layer(layer, snapshot.depth)
        if index is None:
            raise EncoderError(
                f"{snapshot.folder}: has no layer {layer}; "
                f"it has 0 (embeddings) to {snapshot.depth}"
            )
        if index in resolved:
            raise EncoderError(
                f"{snapshot.folder}: layers {resolved[index]} and {layer} are the same layer"
            )
        resolved[index] = layer
    return sorted(resolved)


def _log_plan(
    plan: RowPlan, work: Sequence[ShardWork], layers: Sequence[int], imported: int
) -> None:
    rows = sum(len(item.compute) for item in work)
    tokens = sum(item.tokens for item in work)
    logger.info(
        "%d rows, %d tokens, layers %s: %d rows stored, %d rows (%d tokens) to compute",
        len(plan.keys),
        plan.tokens,
        ", ".join(map(str, layers)),
        len(plan.keys) - rows,
        rows,
        tokens,
    )
    if imported:
        logger.info("%d shards imported from DVC's cache", imported)


def _repair_damaged(store: LocalStore, dvc_cache: DvcCache, linker: Linker) -> None:
    """Log what the store had damaged, and repair DVC's copy of what is whole again.

    Otherwise DVC would find the content in its cache, and give the damaged file back.
    """
    for shard, file in store.damaged:
        path = store.path(shard, file)
        if store.holds(shard, file):
            logger.info("%s/%s was damaged and has been made anew", shard, file)
            if repaired := dvc_cache.repair(path, linker):
                logger.info("%s: was damaged, repaired", repaired)
        elif path.exists():
            logger.info("%s: is damaged; `python -m stages.store verify` tells more", path)


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
