"""The host's side of an extraction: what would be left of its time if the encoder took none.

The encoder is replaced by ready arrays in the precision of the store, which is what a GPU gives;
and once by ready float32 arrays that are converted on the CPU. Everything else is the true thing:
the plan, tokens, shards, hashes and files. Its rate is the most that any GPU could reach here. To
leave the disk out of it, let ``TMPDIR`` name a folder in memory.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.corpora import default_encoder, default_texts, with_word, write_corpus
from benchmarks.measure import Bar, interleaved, report, table
from pipeline.corpus.storage import read_texts
from pipeline.encoder.packing import pack_by_length
from pipeline.encoder.packs import EncodedPack, PackStates, Piece
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.extraction import compute
from pipeline.extraction.compute import compute_missing
from pipeline.extraction.plan import plan_rows, read_rows
from pipeline.extraction.token_spool import TokenSpool
from pipeline.extraction.work import plan_work
from pipeline.store.keys import Recipe
from pipeline.store.local import LocalStore

WIDTH = 768
PACK_TOKENS = 16384
COPIES = int(os.environ.get("ICEHOUSE_BENCH_COPIES", "2"))
MAX_LENGTH = 512
SHARD_TOKENS = 4096
ROUNDS = 3

FLOORS = {1: 4 * 57_000, 2: 6 * 24_000}
"""Tokens a second by number of layers: multiples of what one writing thread made, row by row."""


class ReadyEncoder:
    """Gives states that were there before, as an encoder on a GPU gives them.

    Args:
        layers: layers to give.
        given: precision of what is there; converted to what is asked for, as on a CPU.
    """

    def __init__(self, layers: Sequence[int], given: torch.dtype) -> None:
        self.layers = layers
        generator = torch.Generator().manual_seed(0)
        self._states = torch.randn(PACK_TOKENS + MAX_LENGTH, WIDTH, generator=generator).to(given)

    def encode_packs(
        self, rows: Sequence[TokenisedRow], dtype: torch.dtype
    ) -> Iterator[EncodedPack]:
        """Packs as ``FrozenEncoder.encode_packs`` gives them."""
        for numbers in pack_by_length([row.length for row in rows], PACK_TOKENS):
            ends = np.cumsum([rows[number].length for number in numbers]).tolist()
            pieces = [
                Piece(number, end - rows[number].length, 0, rows[number].length)
                for number, end in zip(numbers, ends, strict=True)
            ]
            yield EncodedPack(pieces, partial(self._fetch, ends[-1], dtype, self._converted(dtype)))

    def _converted(self, dtype: torch.dtype) -> dict[int, torch.Tensor]:
        if self._states.dtype == dtype:
            return dict.fromkeys(self.layers, self._states)
        found = {layer: self._states.to(dtype) for layer in self.layers}
        for states in found.values():
            torch.aminmax(states)
        return found

    def _fetch(
        self, tokens: int, dtype: torch.dtype, states: dict[int, torch.Tensor]
    ) -> PackStates:
        assert all(values.dtype == dtype for values in states.values())  # noqa: S101
        return PackStates(
            {layer: values[:tokens] for layer, values in states.items()},
            dict.fromkeys(states, True),
        )


def main() -> None:
    """Prints tokens per second by number of layers, the share of each part, and the bars."""
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        tokenizer = RowTokenizer(default_encoder(folder), max_length=MAX_LENGTH)
        texts = list(dict.fromkeys(default_texts(folder / "news", "news")))
        copies = [with_word(text, f"copy{copy}") for copy in range(COPIES) for text in texts]
        corpus = write_corpus(folder / "texts", copies)
        tokens = int(tokenizer(copies).lengths.sum())
        bars = {}
        for layers, floor in FLOORS.items():
            runs = {
                f"{layers} layers, from the GPU": _run(
                    folder, corpus, tokenizer, layers, "float16"
                ),
                f"{layers} layers, from a CPU": _run(folder, corpus, tokenizer, layers, "float32"),
            }
            seconds = interleaved(runs, rounds=ROUNDS)
            rates = {title: tokens / value for title, value in seconds.items()}
            table(f"{tokens} tokens, width {WIDTH}", rates, "tokens/s")
            fastest = rates[f"{layers} layers, from the GPU"]
            written = fastest * layers * WIDTH * 2 / 1e6
            print(f"  {written:,.0f} MB/s written")
            bars[f"rate_{layers}"] = Bar(fastest, floor)
            _print_parts(runs[f"{layers} layers, from the GPU"], tokens)
    report("host", bars)


def _run(
    folder: Path, corpus: Path, tokenizer: RowTokenizer, layers: int, given: str
) -> Callable[[], object]:
    encoder: Any = ReadyEncoder(range(1, layers + 1), getattr(torch, given))
    recipe = Recipe({"given": {"dtype": given}}, MAX_LENGTH, "truncate", "float32", "float16")
    opened = partial(read_texts, corpus)

    def run() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            store = LocalStore.of(Path(name), recipe)
            index = store.index(width=WIDTH, dtype=recipe.storage_dtype)
            rows = read_rows(opened, recipe)
            with TokenSpool(len(rows.keys), store.folder) as spool:
                plan = plan_rows(
                    rows, opened, tokenizer, recipe, index, spool, shard_tokens=SHARD_TOKENS
                )
                work = plan_work(plan, store, index, recipe, layers=encoder.layers, width=WIDTH)
                compute_missing(
                    spool,
                    tokenizer,
                    lambda: encoder,
                    plan=plan,
                    work=work,
                    store=store,
                    index=index,
                    recipe=recipe,
                    width=WIDTH,
                    pack_tokens=PACK_TOKENS,
                    machine={},
                    progress=int,
                )

    return run


_PARTS: dict[str, tuple[Any, str]] = {
    "reading tokens": (compute._Shards, "read"),  # noqa: SLF001
    "landing": (compute._Shards, "land"),  # noqa: SLF001
    "writing": (compute._Shards, "_write"),  # noqa: SLF001
    "  of it files of tokens": (compute, "tokens_file"),
    "  of it hashing and files": (LocalStore, "put"),
}
_OF_OTHERS = "  of it"


def _print_parts(run: Callable[[], object], tokens: int) -> None:
    """CPU seconds of each part, and what would follow from them with more cores.

    The tokenizer's own threads are what the process took and no thread of Python's did.
    """
    spent = dict.fromkeys(_PARTS, 0.0)
    with ExitStack() as held:
        for part, place in _PARTS.items():
            held.enter_context(_timed(spent, part, *place))
        whole, own = time.process_time(), time.thread_time()
        run()
        whole, own = time.process_time() - whole, time.thread_time() - own
    by_thread = {part: value for part, value in spent.items() if not part.startswith(_OF_OTHERS)}
    spent = {
        "tokenizer's threads": whole - own - sum(by_thread.values()),
        "planning and packing": own,
        **spent,
    }
    for part, seconds in spent.items():
        print(f"  {part:26} {seconds:6.2f} s of CPU  {100 * seconds / whole:4.0f}%")
    for cores in (2, 4, 8, 16):
        planning = own + spent["tokenizer's threads"] / cores
        writing = spent["writing"] / min(8, max(2, cores // 2))
        after = {"landing": spent["landing"], "writing": writing}
        slowest = max(after, key=after.__getitem__)
        seconds = max(planning + after[slowest], whole / cores)
        most = "planning" if planning > after[slowest] else slowest
        print(f"  {cores:2} cores: at most {tokens / seconds:10,.0f} tokens/s, most of it {most}")


@contextmanager
def _timed(spent: dict[str, float], part: str, owner: Any, name: str) -> Iterator[None]:
    function = getattr(owner, name)
    lock = threading.Lock()

    @wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.thread_time()
        try:
            return function(*arguments, **options)
        finally:
            with lock:
                spent[part] += time.thread_time() - begin

    with mock.patch.object(owner, name, timed):
        yield


if __name__ == "__main__":
    main()
