"""Computes a few stored rows afresh and compares: do the features still follow from the texts?"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.core.environment import choose_device, describe_machine, use_threads
from pipeline.corpus.texts import Text
from pipeline.encoder.windows import encode_rows
from pipeline.extraction.plan import Texts, inputs
from pipeline.extraction.recipes import encoder_of, tokenizer_of, windows_of
from pipeline.extraction.settings import Pairs
from pipeline.features import layout
from pipeline.features.reader import Features
from pipeline.store.keys import Recipe
from pipeline.store.local import LocalStore


@dataclass(frozen=True)
class Recomputed:
    """Result of a recomputation.

    Attributes:
        rows: rows that were computed.
        same_machine: whether everything in the store was computed on this kind of machine, so that
            bits must agree; otherwise values must, within the storage precision.
        different: ids of examples whose stored tokens or states are others.
        largest: largest absolute difference of any state.
    """

    rows: int
    same_machine: bool
    different: list[str]
    largest: float


def recompute(
    features: Features,
    texts: Texts,
    *,
    encoder_folder: Path,
    store_root: Path,
    count: int,
    seed: int | None = None,
    trust_remote_code: bool = False,
) -> Recomputed:
    """Runs the encoder on some rows of a features row, and compares what it gives.

    Args:
        features: the features row.
        texts: opens the corpus that it was made of.
        encoder_folder: the materialised encoder that made it.
        store_root: the local store, whose log says what computed it.
        count: how many rows, chosen at random.
        seed: of the choice.
        trust_remote_code: whether Python code that comes with the encoder may run.
    """
    device, threads = choose_device(), use_threads()
    chosen = _choose(features, texts, count, seed)
    recipe = Recipe.from_json(features.manifest.recipe)
    tokenizer = tokenizer_of(encoder_folder, recipe, trust_remote_code=trust_remote_code)
    rows = tokenizer([one.text for one in chosen])
    encoder = encoder_of(
        encoder_folder,
        recipe,
        layers=features.layers,
        device=device,
        trust_remote_code=trust_remote_code,
    )
    machine = describe_machine(device, threads)
    store = LocalStore(store_root / features.manifest.recipe_digest()[: layout.NAME_DIGITS])
    exact = _computed_here(store, machine)
    same = [
        np.array_equal(features.tokens(one.example, text=one.place).input_ids, row.input_ids)
        for one, row in zip(chosen, rows, strict=True)
    ]
    different = [one.example for one, agrees in zip(chosen, same, strict=True) if not agrees]
    comparable = np.flatnonzero(same).tolist()
    largest = 0.0
    for position, by_layer in encode_rows(
        encoder, [rows[number] for number in comparable], windows_of(recipe)
    ):
        one = chosen[comparable[position]]
        for layer, values in by_layer.items():
            stored = features.states(one.example, layer=layer, text=one.place)
            fresh = values.astype(features.manifest.dtype).astype(np.float32)
            largest = max(largest, float(np.abs(stored - fresh).max()))
            if not _agree(stored, fresh, features.manifest.dtype, exact=exact):
                different.append(one.example)
                break
    return Recomputed(len(chosen), exact, different, largest)


@dataclass(frozen=True)
class _Chosen:
    """A row to compute: its input, and the first example that has it, in which place."""

    example: str
    place: int
    text: Text


def _choose(features: Features, texts: Texts, count: int, seed: int | None) -> list[_Chosen]:
    total = len(features.row_offsets) - 1
    wanted = set(random.Random(seed).sample(range(total), min(count, total)))  # noqa: S311
    pairs: Pairs = "apart" if features.pairs_apart else "together"
    read = (
        _Chosen(example, place, one)
        for example, text in texts()
        for place, one in enumerate(inputs(text, pairs))
    )
    chosen = []
    for row, one in zip(features.example_rows.ravel().tolist(), read, strict=True):
        if row in wanted:
            wanted.discard(row)
            chosen.append(one)
    return chosen


def _computed_here(store: LocalStore, machine: dict[str, object]) -> bool:
    """Whether the log knows what computed every row, and it was this kind of machine each time."""
    entries = store.read_log()
    return bool(entries) and all(
        machine.items() <= entry.items() for entry in entries if entry.get("rows", 1)
    )


def _agree(
    stored: npt.NDArray[np.float32], fresh: npt.NDArray[np.float32], dtype: str, *, exact: bool
) -> bool:
    if exact:
        return np.array_equal(stored, fresh)
    # Other kernels sum in another order, and may round to the next value of the precision.
    step = float(np.finfo(dtype).eps)
    return bool(np.allclose(stored, fresh, rtol=2 * step, atol=max(1e-4, 2 * step)))
