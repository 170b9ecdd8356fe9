"""Who extracts, with a model that is loaded: ours, a padded loop, and sentence-transformers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.corpora import write_corpus
from pipeline.core.files import sha256_file
from pipeline.corpus.storage import TEXTS, read_texts
from pipeline.corpus.texts import Text
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.snapshot import read_snapshot
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.extraction.assemble import assemble
from pipeline.extraction.compute import compute_missing
from pipeline.extraction.plan import plan_rows, read_rows
from pipeline.extraction.token_spool import TokenSpool
from pipeline.extraction.work import plan_work
from pipeline.store.keys import Recipe
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore

MAX_LENGTH = 512
BATCH = 32
SHARD_TOKENS = 4096
CPU = torch.device("cpu")

Contestant = Callable[[], Sequence[npt.NDArray[np.floating[Any]]]]
"""Gives (tokens, width) of every text, in order."""


def recipe_for(encoder: Path, compute_dtype: str, storage_dtype: str) -> Recipe:
    """Texts that are cut at ``MAX_LENGTH``, in some precision."""
    fingerprint = read_snapshot(encoder, verify=True).fingerprint()
    return Recipe(fingerprint, MAX_LENGTH, "truncate", compute_dtype, storage_dtype)


def ours(
    folder: Path, encoder: Path, texts: Sequence[Text], model: FrozenEncoder, recipe: Recipe
) -> Callable[[], object]:
    """Planning, encoding and writing the store and the features, anew at each call.

    Args:
        folder: where to write.
        encoder: of the recipe, materialised.
        texts: all different.
        model: the encoder, loaded as the recipe says.
        recipe: what is stored.
    """
    snapshot = read_snapshot(encoder, verify=False)
    tokenizer = RowTokenizer(encoder, max_length=recipe.max_length)
    corpus = write_corpus(folder / "texts", texts)
    opened = partial(read_texts, corpus)
    texts_sha256 = sha256_file(corpus / TEXTS)
    layers = list(model.layers)

    def run() -> None:
        shutil.rmtree(folder / "store", ignore_errors=True)
        store = LocalStore.of(folder / "store", recipe)
        index = store.index(width=snapshot.width, dtype=recipe.storage_dtype)
        rows = read_rows(opened, recipe)
        with TokenSpool(len(rows.keys), store.folder) as spool:
            plan = plan_rows(
                rows, opened, tokenizer, recipe, index, spool, shard_tokens=SHARD_TOKENS
            )
            work = plan_work(plan, store, index, recipe, layers=layers, width=model.width)
            compute_missing(
                spool,
                tokenizer,
                lambda: model,
                plan=plan,
                work=work,
                store=store,
                index=index,
                recipe=recipe,
                width=model.width,
                pack_tokens=model.pack_tokens,
                machine={},
                progress=int,
            )
        assemble(
            folder / "features",
            plan=plan,
            store=store,
            recipe=recipe,
            layers=layers,
            width=model.width,
            depth=snapshot.depth,
            texts_sha256=texts_sha256,
            linker=Linker(),
        )

    return run


def plain_loop(
    encoder: Path,
    rows: Sequence[TokenisedRow],
    *,
    layer: int,
    device: torch.device = CPU,
    dtype: torch.dtype = torch.float32,
) -> Contestant:
    """Batches of 32 in corpus order, padded to the longest, all hidden states."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(encoder, local_files_only=True, dtype=dtype)
    model = model.to(device).eval()

    @torch.inference_mode()
    def run() -> list[npt.NDArray[np.floating[Any]]]:
        results: list[npt.NDArray[np.floating[Any]]] = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            ids, mask = (tensor.to(device) for tensor in padded(batch))
            output = model(ids, attention_mask=mask, output_hidden_states=True)
            states = output.hidden_states[layer].cpu().numpy()
            results += [states[index, : row.length] for index, row in enumerate(batch)]
        return results

    return run


def sentence_transformers(
    encoder: Path,
    texts: Sequence[str],
    *,
    device: torch.device = CPU,
    dtype: torch.dtype = torch.float32,
) -> Contestant:
    """Token embeddings as the library gives them: sorted by length, batches of 32, padded."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    transformer = Transformer(
        str(encoder), max_seq_length=MAX_LENGTH, model_kwargs={"dtype": dtype}
    )
    model = SentenceTransformer(modules=[transformer], device=str(device))

    def run() -> list[npt.NDArray[np.floating[Any]]]:
        states = model.encode(
            list(texts),
            output_value="token_embeddings",
            batch_size=BATCH,
            show_progress_bar=False,
        )
        return [tensor.cpu().numpy() for tensor in states]

    return run


def padded(rows: Sequence[TokenisedRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, longest) int64 token ids, padded at the end, and their mask."""
    lengths = torch.tensor([row.length for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.zeros(mask.shape, dtype=torch.long)
    joined = np.concatenate([row.input_ids for row in rows])
    ids[mask] = torch.from_numpy(joined).long()
    return ids, mask.long()


def product_flops(lengths: Sequence[int], *, width: int, layers: int) -> float:
    """Multiplications and additions of a BERT's matrix products over rows of some lengths.

    Four projections of a layer, a feed-forward network of four times its width, and attention.
    """
    linear = 2 * sum(lengths) * 12 * width * width
    attention = sum(4 * length**2 * width for length in lengths)
    return float(layers * (linear + attention))
