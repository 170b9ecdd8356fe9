"""Extraction against a plain transformers loop and against the machine's peak, on the tweets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.corpora import default_encoder, default_texts
from benchmarks.measure import Bar, interleaved, report, table
from pipeline.corpus.storage import TEXTS, read_texts
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.snapshot import read_snapshot
from pipeline.encoder.tokenise import RowTokenizer, TokenisedRow
from pipeline.environment import use_threads
from pipeline.extraction.assemble import assemble
from pipeline.extraction.compute import compute_missing
from pipeline.extraction.plan import plan_rows, plan_work, read_rows
from pipeline.files import sha256_file
from pipeline.store.keys import Recipe
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore

MAX_LENGTH = 512
LAYER = 6
BATCH = 32
CPU = torch.device("cpu")


def main() -> None:
    """Prints tokens per second of each contestant and the bars."""
    use_threads()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = default_encoder(folder)
        texts = default_texts(folder, "tweets")
        rows = RowTokenizer(encoder, max_length=MAX_LENGTH)(list(dict.fromkeys(texts)))
        tokens = sum(row.length for row in rows)

        ours = _ours(folder, encoder)
        plain = _plain_loop(encoder, rows)
        _same_values(encoder, rows, plain)
        seconds = interleaved({"ours": ours, "plain loop": plain})
        flops = _flops(rows)
        peak = _peak_flops()
        rates = {name: tokens / value for name, value in seconds.items()}
        rates["peak allows"] = tokens * peak / flops
    table(f"tweets, {tokens} tokens, layer {LAYER}, float32", rates, "tokens/s")
    report(
        "extract",
        {
            "plain_loop": Bar(rates["ours"] / rates["plain loop"], 2.5),
            "matmul_peak": Bar(rates["ours"] / rates["peak allows"], 0.75),
        },
    )


def _ours(folder: Path, encoder: Path) -> Callable[[], object]:
    """Planning, encoding and writing the store and the features, after the model is loaded."""
    snapshot = read_snapshot(encoder, verify=True)
    recipe = Recipe(snapshot.fingerprint(), MAX_LENGTH, "truncate", "float32", "float32")
    tokenizer = RowTokenizer(encoder, max_length=MAX_LENGTH)
    model = FrozenEncoder(encoder, layers=[LAYER], device=CPU)
    texts = partial(read_texts, folder)
    texts_sha256 = sha256_file(folder / TEXTS)

    def run() -> None:
        shutil.rmtree(folder / "store", ignore_errors=True)
        store = LocalStore.of(folder / "store", recipe)
        index = store.index()
        plan = plan_rows(
            read_rows(texts, recipe), texts, tokenizer, recipe, index, shard_tokens=4096
        )
        work = plan_work(plan, store, index, recipe, layers=[LAYER], width=model.width)
        compute_missing(
            texts,
            tokenizer,
            lambda: model,
            plan=plan,
            work=work,
            store=store,
            index=index,
            recipe=recipe,
            width=model.width,
            machine={},
            progress=int,
        )
        assemble(
            folder / "features",
            plan=plan,
            store=store,
            recipe=recipe,
            layers=[LAYER],
            width=model.width,
            depth=snapshot.depth,
            texts_sha256=texts_sha256,
            linker=Linker(),
        )

    return run


def _plain_loop(encoder: Path, rows: list[TokenisedRow]) -> Callable[[], list[torch.Tensor]]:
    """Batches of 32 in corpus order, padded to the longest, all hidden states."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(encoder, local_files_only=True).eval()

    @torch.inference_mode()
    def run() -> list[torch.Tensor]:
        results = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            longest = max(row.length for row in batch)
            ids = torch.zeros(len(batch), longest, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for index, row in enumerate(batch):
                ids[index, : row.length] = torch.from_numpy(row.input_ids)
                mask[index, : row.length] = 1
            output = model(ids, attention_mask=mask, output_hidden_states=True)
            results.append(output.hidden_states[LAYER][mask.bool()])
        return results

    return run


def _same_values(
    encoder: Path, rows: list[TokenisedRow], plain: Callable[[], list[torch.Tensor]]
) -> None:
    """Stops unless both compute the same hidden states."""
    model = FrozenEncoder(encoder, layers=[LAYER], device=CPU)
    ours = {index: states[LAYER].copy() for index, states in model.encode(rows)}
    difference = np.abs(
        np.concatenate([ours[index] for index in range(len(rows))]) - torch.cat(plain()).numpy()
    ).max()
    print(f"largest difference between contestants: {difference:.1e}")
    if difference > 1e-4:
        raise SystemExit("the contestants do not compute the same thing")


def _flops(rows: list[TokenisedRow], width: int = 384, layers: int = LAYER) -> float:
    """Multiplications and additions of the encoder's matrix products over all rows."""
    tokens = sum(row.length for row in rows)
    linear = 2 * tokens * 12 * width * width  # four projections, and a feed-forward of 4 × width
    attention = sum(4 * row.length**2 * width for row in rows)
    return float(layers * (linear + attention))


def _peak_flops() -> float:
    """Floating-point operations per second of large float32 matrix products here."""
    size = 2048
    left, right = torch.randn(size, size), torch.randn(size, size)
    seconds = interleaved({"product": lambda: left @ right})["product"]
    return 2 * size**3 / seconds


if __name__ == "__main__":
    main()
