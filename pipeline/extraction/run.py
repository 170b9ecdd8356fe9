"""One extraction from beginning to end."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.encoder.snapshot import EncoderSnapshot, read_snapshot
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.environment import choose_device, use_threads
from pipeline.errors import EncoderError
from pipeline.extraction.assemble import assemble, refuse_full_disk
from pipeline.extraction.compute import compute_missing
from pipeline.extraction.plan import Texts, plan_rows, plan_work
from pipeline.store.keys import Recipe
from pipeline.store.layers import resolve_layer
from pipeline.store.local import LocalStore
from pipeline.store.settings import FeaturesSettings


def extract(
    texts: Texts,
    *,
    texts_sha256: str,
    encoder_folder: Path,
    settings: FeaturesSettings,
    store_root: Path,
    out: Path,
    say: Callable[[str], object],
) -> dict[str, Any]:
    """Writes the features of a corpus into ``out``, computing only what the store lacks.

    Args:
        texts: opens the corpus.
        texts_sha256: digest of the corpus's text file, kept in the manifest.
        encoder_folder: a materialised encoder.
        settings: layers, lengths and precision.
        store_root: the local feature store.
        out: the folder to write.
        say: told the plan and the outcome, a line at a time.

    Returns:
        Counts of rows, tokens and truncation, the same whatever the store held.

    Raises:
        EncoderError: the encoder is damaged, lacks a layer, or takes shorter texts only.
        DataError: a text is too long and the settings call that an error.
        MachineError: the disk or the device does not allow it.
        StoreError: a state is not finite in the storage precision.
    """
    from pipeline.encoder.forward import FrozenEncoder, longest_row

    begin = time.perf_counter()
    snapshot = read_snapshot(encoder_folder, verify=True)
    layers = _resolve(settings.layers, snapshot)
    longest = longest_row(encoder_folder)
    if settings.max_length > longest:
        raise EncoderError(
            f"{encoder_folder}: takes at most {longest} tokens, max_length is {settings.max_length}"
        )
    recipe = Recipe(
        encoder=snapshot.fingerprint(),
        max_length=settings.max_length,
        long_texts=settings.long_texts,
        compute_dtype="float32",
        storage_dtype=settings.storage_dtype,
    )
    store = LocalStore(store_root, recipe)
    tokenizer = RowTokenizer(encoder_folder, max_length=settings.max_length)
    plan = plan_rows(texts, tokenizer, recipe, shard_tokens=settings.shard_tokens)
    work = plan_work(plan, store, recipe, layers=layers, width=snapshot.width)
    rows, tokens, size = (
        sum(len(item.compute) for item in work),
        sum(item.tokens for item in work),
        sum(item.bytes for item in work),
    )
    missing = sorted({layer for item in work for layer in item.layers})
    device, threads = choose_device(), use_threads()
    say(
        f"{len(plan.keys)} rows, {plan.tokens} tokens, layers {', '.join(map(str, layers))}; "
        f"{len(plan.keys) - rows} rows stored already, {rows} ({tokens} tokens) to compute on "
        f"{device}; {size / 1e6:.0f} MB to write"
    )
    refuse_full_disk(store_root, size)
    with tqdm(total=tokens, unit=" tokens", unit_scale=True, disable=None, desc="encoding") as bar:
        compute_missing(
            texts,
            tokenizer,
            lambda: FrozenEncoder(encoder_folder, layers=missing, device=device),
            plan=plan,
            work=work,
            store=store,
            recipe=recipe,
            width=snapshot.width,
            machine=_machine(str(device), threads),
            progress=bar.update,
        )
    linker = assemble(
        out,
        plan=plan,
        store=store,
        recipe=recipe,
        layers=layers,
        width=snapshot.width,
        depth=snapshot.depth,
        texts_sha256=texts_sha256,
    )
    if linker.copied_bytes:
        say(f"{linker.copied_bytes / 1e6:.0f} MB were copied, not linked: {linker.reason}")
    say(f"done in {time.perf_counter() - begin:.1f} s")
    return {"layers": layers, **plan.report()}


def _resolve(layers: tuple[int, ...], snapshot: EncoderSnapshot) -> list[int]:
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


def _machine(device: str, threads: int) -> dict[str, Any]:
    """What computed a shard; goes into the store's log, never into its files."""
    import torch

    return {
        "device": device,
        "threads": threads,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cpu": platform.processor() or platform.machine(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
