"""Extraction against a plain transformers loop, sentence-transformers and the machine's peak."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import contestants
from benchmarks.contestants import CPU, MAX_LENGTH, Contestant, product_flops, recipe_for
from benchmarks.corpora import default_encoder, default_texts
from benchmarks.measure import Bar, interleaved, peak_flops, report, table
from pipeline.core.environment import use_threads
from pipeline.core.errors import MachineError
from pipeline.corpus.texts import parts
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow

LAYER = 6
WIDTH = 384
DOCUMENTS = 200


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
    peers = {
        "plain loop": contestants.plain_loop(encoder, rows, layer=LAYER),
        "sentence-transformers": contestants.sentence_transformers(encoder, texts),
    }
    _same_values(encoder, rows, peers)
    model = FrozenEncoder(encoder, layers=[LAYER], device=CPU)
    recipe = recipe_for(encoder, "float32", "float32")
    ours = {"ours": contestants.ours(folder, encoder, texts, model, recipe)}
    seconds = interleaved(ours | peers)
    rates = {name: tokens / value for name, value in seconds.items()}
    flops = product_flops([row.length for row in rows], width=WIDTH, layers=LAYER)
    allowed = tokens * peak_flops() / flops
    table(
        f"{title}, {tokens} tokens, layer {LAYER}, float32",
        rates | {"peak allows": allowed},
        "tokens/s",
    )
    return rates, allowed


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


def _same_values(encoder: Path, rows: Sequence[TokenisedRow], peers: dict[str, Contestant]) -> None:
    """Stops unless all compute the same hidden states."""
    ours = _states(FrozenEncoder(encoder, layers=[LAYER], device=CPU), rows)
    for name, run in peers.items():
        difference = max(
            float(np.abs(one - other).max()) for one, other in zip(ours, run(), strict=True)
        )
        print(f"largest difference to {name}: {difference:.1e}")
        if difference > 1e-4:
            raise SystemExit(f"{name} does not compute the same thing")


if __name__ == "__main__":
    main()
