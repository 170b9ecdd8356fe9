"""Tokens a second: of the encoder alone, and of whole extractions beside what others do."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import contestants
from benchmarks.corpora import with_word
from benchmarks.gpu.device import peak_memory, synchronise
from benchmarks.gpu.inputs import Bench, repeated
from benchmarks.gpu.runner import Part
from benchmarks.gpu.traces import busy
from benchmarks.measure import Bar, peak_flops
from pipeline.corpus.texts import parts
from pipeline.encoder.packing import pack_by_length
from pipeline.encoder.packs import one_behind
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow

if TYPE_CHECKING:
    from pipeline.encoder.forward import FrozenEncoder

_OUR_COPIES = {"tweets": 10, "news": 1}
_PEER_TEXTS = {"tweets": 2400, "news": 200}
"""How often we are given the texts, and how many of them the peers, so that each takes seconds."""

_COMPARED = 20
"""Texts whose states are compared with those of the peers."""

OVER_PADDED_LOOP = 5.0
OVER_SENTENCE_TRANSFORMERS = 3.0


def encoding(shape: str, bench: Bench) -> Iterator[Part]:
    """The encoder alone, states fetched and dropped: by precision, texts and size of packs."""
    for dtype in bench.dtypes:
        count = bench.size(600_000 if dtype == bench.fast else 200_000, 2000)
        encoder = cache(partial(bench.encoder, shape, dtype))
        peak = cache(partial(peak_flops, bench.device, getattr(torch, dtype), bench.size(8192, 64)))
        yield f"{dtype}_peak_tflops", partial(_tera, peak)
        for kind in ("tweets", "news"):
            rows = repeated(bench.rows(kind), count)
            yield f"{dtype}_{kind}", partial(_rate, bench, encoder, rows, peak)
        if dtype == bench.fast:
            rows = repeated(bench.rows("tweets"), count)
            for factor in (0.25, 0.5, 2):
                yield (
                    f"{dtype}_tweets_in_packs_of_{factor:g}",
                    partial(_rate, bench, encoder, rows, peak, factor=factor),
                )


def _tera(rate: Callable[[], float]) -> float:
    return rate() / 1e12


def _rate(
    bench: Bench,
    load: Callable[[], FrozenEncoder],
    rows: Sequence[TokenisedRow],
    peak: Callable[[], float],
    factor: float = 1,
) -> dict[str, float]:
    """Of packs that are larger or smaller than usual by a factor."""
    encoder = load()
    usual = encoder.pack_tokens
    encoder.pack_tokens = int(factor * usual)
    try:
        seconds = _median_seconds(bench, partial(_encode, encoder, rows))
        lengths = [row.length for row in rows]
        packs = sum(1 for _ in pack_by_length(lengths, encoder.pack_tokens))
        filled = sum(lengths) / (packs * encoder.pack_tokens)
    finally:
        encoder.pack_tokens = usual
    flops = contestants.product_flops(lengths, width=encoder.width, layers=encoder.layers[-1])
    return {
        "tokens_per_s": sum(lengths) / seconds,
        "of_matmul_peak": flops / seconds / peak(),
        "filled": filled,
        **peak_memory(bench.device),
    }


def _encode(encoder: FrozenEncoder, rows: Sequence[TokenisedRow]) -> None:
    for pack in one_behind(encoder.encode_packs(rows, torch.float16)):
        pack.fetch()


def _median_seconds(bench: Bench, run: Callable[[], object]) -> float:
    """Seconds of a run, the median of some after one that warms up."""
    seconds = []
    for _ in range(bench.rounds + 1):
        begin = time.perf_counter()
        run()
        synchronise(bench.device)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def extraction(shape: str, bench: Bench) -> Iterator[Part]:
    """Whole extractions, texts to files, over a padded loop and over sentence-transformers."""
    rates: dict[str, float] = {}
    for kind in ("tweets", "news"):
        yield f"{kind}_ours", partial(_ours, bench, shape, kind, rates)
        yield (
            f"{kind}_over_padded_loop",
            partial(_over, bench, shape, kind, rates, _padded_loop, OVER_PADDED_LOOP),
        )
        if find_spec("sentence_transformers") is None:
            yield f"{kind}_over_sentence_transformers", lambda: {"skipped": "it is not installed"}
        else:
            yield (
                f"{kind}_over_sentence_transformers",
                partial(
                    _over,
                    *(bench, shape, kind, rates),
                    _sentence_transformers,
                    OVER_SENTENCE_TRANSFORMERS,
                ),
            )


Peer = Callable[[Bench, str, str, int], contestants.Contestant]
"""Made of a bench, a shape, a kind of texts and how many of them."""


def _padded_loop(bench: Bench, shape: str, kind: str, count: int) -> contestants.Contestant:
    return contestants.plain_loop(
        bench.encoder_folder(shape),
        bench.rows(kind)[:count],
        layer=bench.shapes[shape].layers,
        device=bench.device,
        dtype=getattr(torch, bench.fast),
    )


def _sentence_transformers(
    bench: Bench, shape: str, kind: str, count: int
) -> contestants.Contestant:
    return contestants.sentence_transformers(
        bench.encoder_folder(shape),
        [" ".join(parts(text)) for text in bench.texts(kind)[:count]],
        device=bench.device,
        dtype=getattr(torch, bench.fast),
    )


def _over(
    bench: Bench, shape: str, kind: str, rates: dict[str, float], make: Peer, bound: float
) -> dict[str, Any]:
    """A peer's tokens a second, in our fast precision, and how many times as many ours has."""
    rows = bench.rows(kind)[: bench.size(_PEER_TEXTS[kind], 6)]
    run = make(bench, shape, kind, len(rows))
    rate = sum(row.length for row in rows) / _median_seconds(bench, run)
    figures: dict[str, Any] = {
        "tokens_per_s": rate,
        "apart": _apart(bench.encoder(shape, bench.fast), rows[:_COMPARED], run()),
    }
    return figures | ({"ratio": Bar(rates[kind] / rate, bound)} if kind in rates else {})


def _apart(
    encoder: FrozenEncoder, rows: Sequence[TokenisedRow], states: Sequence[npt.NDArray[Any]]
) -> float:
    """Root mean square of what a peer's states differ from ours by, as a share of ours."""
    layer = encoder.layers[-1]
    pairs = [(found[layer], states[row]) for row, found in encoder.encode(rows)]
    squares = sum(float(((ours - peer.astype(np.float32)) ** 2).sum()) for ours, peer in pairs)
    return math.sqrt(squares / sum(float((ours**2).sum()) for ours, _ in pairs))


def _ours(bench: Bench, shape: str, kind: str, rates: dict[str, float]) -> dict[str, float]:
    """Tokens a second of our own extraction, with a loaded encoder, into an empty store."""
    texts = copies(bench.texts(kind), bench.size(_OUR_COPIES[kind], 1))
    tokenizer = RowTokenizer(bench.encoder_folder(shape), max_length=contestants.MAX_LENGTH)
    run, tokens = _extraction_of(bench, shape, texts), int(tokenizer(texts).lengths.sum())
    rates[kind] = tokens / _median_seconds(bench, run)
    return {"tokens_per_s": rates[kind], "texts": len(texts), "tokens": tokens}


def _extraction_of(bench: Bench, shape: str, texts: Sequence[Any]) -> Callable[[], object]:
    folder = bench.encoder_folder(shape)
    recipe = contestants.recipe_for(folder, bench.fast, "float16")
    model = bench.encoder(shape, bench.fast)
    return contestants.ours(bench.folder / "extraction", folder, texts, model, recipe)


def copies(texts: Sequence[Any], times: int) -> list[Any]:
    """The texts, and again with a word in front that no other copy has: all are different."""
    return [
        *texts,
        *(with_word(text, f"copy{number}") for number in range(1, times) for text in texts),
    ]


def busyness(shape: str, bench: Bench) -> Iterator[Part]:
    """Kernel time over wall time, of the encoder alone and of whole extractions."""
    rows = repeated(bench.rows("tweets"), bench.size(500_000, 2000))
    encoder = bench.encoder(shape, bench.fast)
    _encode(encoder, rows)
    packs = sum(1 for _ in pack_by_length([row.length for row in rows], encoder.pack_tokens))
    yield "encoding", partial(busy, partial(_encode, encoder, rows), bench.device, count=packs)

    def extracting() -> dict[str, Any]:
        run = _extraction_of(bench, shape, copies(bench.texts("tweets"), bench.size(8, 1)))
        run()
        return busy(run, bench.device, count=1)

    yield "extraction", extracting
