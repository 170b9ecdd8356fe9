"""Extraction against a plain transformers loop, sentence-transformers and the machine's peak."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.corpora import default_encoder, default_texts, write_corpus
from benchmarks.measure import Bar, interleaved, peak_flops, report, table
from pipeline.core.environment import use_threads
from pipeline.core.errors import MachineError
from pipeline.core.files import sha256_file
from pipeline.corpus.storage import TEXTS, read_texts
from pipeline.corpus.texts import parts
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
LAYER = 6
BATCH = 32
DOCUMENTS = 200
CPU = torch.device("cpu")

Contestant = Callable[[], Sequence[npt.NDArray[np.float32]]]
"""Gives (tokens, width) of every text, in order."""


def main() -> None:
    """Prints tokens per second of each contestant, on tweets and on long texts, and the bars."""
    use_threads()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        encoder = default_encoder(folder)
        tweets = _texts(folder, "tweets")
        tokenizer = RowTokenizer(encoder, max_length=None)
        news = _texts(folder, "news")
        fitting = [
            text
            for text, row in zip(news, tokenizer(news), strict=True)
            if row.length <= MAX_LENGTH
        ][:DOCUMENTS]
        tweet_rates, allowed = _compare(folder / "tweets", encoder, tweets, "tweets")
        news_rates, _ = _compare(folder / "news", encoder, fitting, f"{len(fitting)} whole news")
        reduced = _reduced_precision(encoder, tokenizer(tweets))
    report(
        "extract",
        {
            "sentence_transformers": Bar(
                tweet_rates["ours"] / tweet_rates["sentence-transformers"], 1.8
            ),
            "plain_loop": Bar(tweet_rates["ours"] / tweet_rates["plain loop"], 2.5),
            "matmul_peak": Bar(tweet_rates["ours"] / allowed, 0.75),
            "sentence_transformers_news": Bar(
                news_rates["ours"] / news_rates["sentence-transformers"], 1.3
            ),
        }
        | reduced,
    )


def _texts(folder: Path, corpus: str) -> list[str]:
    """The distinct texts of a default corpus as plain strings, which all contestants read alike."""
    texts = default_texts(folder / corpus, corpus)
    return list(dict.fromkeys(" ".join(parts(text)) for text in texts))


def _compare(
    folder: Path, encoder: Path, texts: Sequence[str], title: str
) -> tuple[dict[str, float], float]:
    """Tokens per second by contestant, and what the peak of matrix products would allow."""
    rows = RowTokenizer(encoder, max_length=MAX_LENGTH)(texts)
    tokens = sum(row.length for row in rows)
    contestants = {
        "plain loop": _plain_loop(encoder, rows),
        "sentence-transformers": _sentence_transformers(encoder, texts),
    }
    _same_values(encoder, rows, contestants)
    ours = {"ours": _ours(folder, encoder, texts)}
    seconds = interleaved(ours | contestants)
    rates = {name: tokens / value for name, value in seconds.items()}
    allowed = tokens * peak_flops() / _flops(rows)
    table(
        f"{title}, {tokens} tokens, layer {LAYER}, float32",
        rates | {"peak allows": allowed},
        "tokens/s",
    )
    return rates, allowed


def _ours(folder: Path, encoder: Path, texts: Sequence[str]) -> Callable[[], object]:
    """Planning, encoding and writing the store and the features, after the model is loaded."""
    snapshot = read_snapshot(encoder, verify=True)
    recipe = Recipe(snapshot.fingerprint(), MAX_LENGTH, "truncate", "float32", "float32")
    tokenizer = RowTokenizer(encoder, max_length=MAX_LENGTH)
    model = FrozenEncoder(encoder, layers=[LAYER], device=CPU)
    corpus = write_corpus(folder / "texts", texts)
    opened = partial(read_texts, corpus)
    texts_sha256 = sha256_file(corpus / TEXTS)

    def run() -> None:
        shutil.rmtree(folder / "store", ignore_errors=True)
        store = LocalStore.of(folder / "store", recipe)
        index = store.index(width=snapshot.width, dtype=recipe.storage_dtype)
        rows = read_rows(opened, recipe)
        spool = TokenSpool(len(rows.keys), store.folder)
        plan = plan_rows(rows, opened, tokenizer, recipe, index, spool, shard_tokens=4096)
        work = plan_work(plan, store, index, recipe, layers=[LAYER], width=model.width)
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
            layers=[LAYER],
            width=model.width,
            depth=snapshot.depth,
            texts_sha256=texts_sha256,
            linker=Linker(),
        )

    return run


def _plain_loop(encoder: Path, rows: Sequence[TokenisedRow]) -> Contestant:
    """Batches of 32 in corpus order, padded to the longest, all hidden states."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(encoder, local_files_only=True).eval()

    @torch.inference_mode()
    def run() -> list[npt.NDArray[np.float32]]:
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
            states = output.hidden_states[LAYER].numpy()
            results += [states[index, : row.length] for index, row in enumerate(batch)]
        return results

    return run


def _sentence_transformers(encoder: Path, texts: Sequence[str]) -> Contestant:
    """Token embeddings as the library gives them: sorted by length, batches of 32, padded."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    transformer = Transformer(str(encoder), max_seq_length=MAX_LENGTH)
    model = SentenceTransformer(modules=[transformer], device="cpu")

    def run() -> list[npt.NDArray[np.float32]]:
        states = model.encode(list(texts), output_value="token_embeddings", batch_size=BATCH)
        return [tensor.numpy() for tensor in states]

    return run


def _reduced_precision(encoder: Path, rows: Sequence[TokenisedRow]) -> dict[str, Bar]:
    """How much faster other precisions encode than float32; prints by how much they are off."""
    full = FrozenEncoder(encoder, layers=[LAYER], device=CPU)
    encoders = {"float32": full}
    for dtype in (torch.bfloat16, torch.int8):
        name = str(dtype).removeprefix("torch.")
        try:
            encoders[name] = FrozenEncoder(encoder, layers=[LAYER], device=CPU, dtype=dtype)
        except MachineError as error:  # not every CPU has int8
            print(error)
    exact = np.concatenate(_states(full, rows))
    errors = {
        name: np.sqrt(np.mean((np.concatenate(_states(encoder, rows)) - exact) ** 2))
        / np.sqrt(np.mean(exact**2))
        for name, encoder in encoders.items()
    }
    seconds = interleaved(
        {name: partial(_states, encoder, rows) for name, encoder in encoders.items()}
    )
    tokens = sum(row.length for row in rows)
    table(
        "encoding alone; off by (root mean square) "
        + ", ".join(f"{name} {error:.1%}" for name, error in errors.items()),
        {name: tokens / value for name, value in seconds.items()},
        "tokens/s",
    )
    bars = {"bfloat16": ("reduced_precision", 2.0), "int8": ("int8", 1.5)}
    return {
        bar: Bar(seconds["float32"] / seconds[name], bound)
        for name, (bar, bound) in bars.items()
        if name in seconds
    }


def _states(encoder: FrozenEncoder, rows: Sequence[TokenisedRow]) -> list[npt.NDArray[np.float32]]:
    by_row = {index: states[LAYER] for index, states in encoder.encode(rows)}
    return [by_row[index] for index in range(len(rows))]


def _same_values(
    encoder: Path, rows: Sequence[TokenisedRow], contestants: dict[str, Contestant]
) -> None:
    """Stops unless all compute the same hidden states."""
    ours = _states(FrozenEncoder(encoder, layers=[LAYER], device=CPU), rows)
    for name, run in contestants.items():
        difference = max(
            float(np.abs(one - other).max()) for one, other in zip(ours, run(), strict=True)
        )
        print(f"largest difference to {name}: {difference:.1e}")
        if difference > 1e-4:
            raise SystemExit(f"{name} does not compute the same thing")


def _flops(rows: Sequence[TokenisedRow], width: int = 384, layers: int = LAYER) -> float:
    """Multiplications and additions of the encoder's matrix products over all rows."""
    tokens = sum(row.length for row in rows)
    linear = 2 * tokens * 12 * width * width  # four projections, and a feed-forward of 4 × width
    attention = sum(4 * row.length**2 * width for row in rows)
    return float(layers * (linear + attention))


if __name__ == "__main__":
    main()
