"""Computation of what the store lacks: the encoder on rows that no shard has, then the files.

Packs flow through four kinds of threads. One reads the tokens of the next block of shards; the
caller's runs the encoder, or queues it on a GPU; one lands packs, row by row, in their shards; and
some hash and write the shards that are whole. Each waits for the next where that is behind, so that
a few packs and two blocks of shards are in memory, however large the corpus.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.packs import EncodedPack
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.encoder.windows import encode_packs, encode_rows
from pipeline.extraction.plan import RowPlan
from pipeline.extraction.recipes import windows_of
from pipeline.extraction.row_tokens import RowTokens, shard_tokens
from pipeline.extraction.shard_states import ShardStates, refuse_infinite
from pipeline.extraction.token_spool import TokenSpool
from pipeline.extraction.work import ShardWork
from pipeline.features import layout
from pipeline.store.index import RowIndex
from pipeline.store.keys import Recipe
from pipeline.store.layer_image import layer_file
from pipeline.store.local import LocalStore
from pipeline.store.writer import tokens_file

if TYPE_CHECKING:
    import torch

_SAMPLE_PACKS = 2
"""Size of the sample that times this machine, in packs."""

_BLOCK_TOKENS = 24576
_BLOCK_PACKS = 16
_BLOCK_BYTES = 1 << 31
"""Size of a block: what is sorted by length and encoded together. At least so many tokens, and so
many packs that the one that is left half empty does not count, but no more states than that."""

_PACKS_WAITING = 4
"""Packs that have been computed, or are queued on a GPU, and have not landed."""

_MOST_WRITERS = 8
"""Threads that hash and write: one makes some 1.5 GB/s, and eight more than any disk."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Block:
    """Shards that are computed together.

    Attributes:
        shards: what they will be made of.
        numbers: of the rows to encode.
        rows: the tokens of those.
        tokens: all rows of the shards that lack a file of their tokens, by shard name.
        landing: packs under way.
        writing: shards under way; complete when all packs have landed.
        seconds: that the encoder took.
    """

    shards: list[ShardStates]
    numbers: list[int]
    rows: list[TokenisedRow]
    tokens: dict[str, list[TokenisedRow]]
    landing: list[Future[int]] = field(default_factory=list)
    writing: list[Future[None]] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.shard_of = {row: shard for shard in self.shards for row in shard.work.compute}


def compute_missing(
    spool: TokenSpool,
    tokenizer: RowTokenizer,
    load_encoder: Callable[[], FrozenEncoder],
    *,
    plan: RowPlan,
    work: Sequence[ShardWork],
    store: LocalStore,
    index: RowIndex,
    recipe: Recipe,
    width: int,
    pack_tokens: int,
    machine: Mapping[str, Any],
    progress: Callable[[int], object],
) -> None:
    """Completes the store for a plan, shard after shard.

    Args:
        spool: tokens of the rows that the store has not.
        tokenizer: what gave them.
        load_encoder: called once, and only if a row has to be computed.
        index: of the store, as it was planned with.
        width: of a state.
        pack_tokens: tokens that the encoder takes at once.
        machine: what the store's log says of this machine.
        progress: told the number of tokens of each pack that has landed.

    Raises:
        StoreError: a state is not finite in the storage precision.
    """
    store.write_recipe(recipe)
    windows = windows_of(recipe)
    dtype = _torch_dtype(recipe.storage_dtype)
    blocks = list(_blocks(work, _block_tokens(work, width, recipe.storage_dtype, pack_tokens)))
    encoder: FrozenEncoder | None = None
    landing: deque[Future[int]] = deque()
    before: _Block | None = None
    # What fails lets the others end what they have: a block that is computed is written.
    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(_writers()) as writers,
        ThreadPoolExecutor(1) as lander,
    ):
        rows = RowTokens(spool, tokenizer, plan, index, windows)
        shards = _Shards(rows, plan, store, index, recipe, width, writers)
        for block in _ahead(reader, shards.read, blocks):
            begin = time.perf_counter()
            shards.write_complete(block)
            if block.numbers:
                encoder = encoder or load_encoder()
                for pack in encode_packs(encoder, block.rows, windows, dtype):
                    landing.append(lander.submit(shards.land, block, pack))
                    block.landing.append(landing[-1])
                    while len(landing) >= _PACKS_WAITING:
                        progress(landing.popleft().result())
            block.seconds = time.perf_counter() - begin
            if before is not None:
                shards.settle(before, machine)
            before = block
        for landed in landing:
            progress(landed.result())
        if before is not None:
            shards.settle(before, machine)


class _Shards:
    """What becomes of blocks of shards, from their tokens to their files."""

    def __init__(
        self,
        rows: RowTokens,
        plan: RowPlan,
        store: LocalStore,
        index: RowIndex,
        recipe: Recipe,
        width: int,
        writers: ThreadPoolExecutor,
    ) -> None:
        self._rows = rows
        self._plan = plan
        self._store = store
        self._index = index
        self._recipe = recipe
        self._width = width
        self._writers = writers

    def read(self, work: Sequence[ShardWork]) -> _Block:
        """A block with the tokens that it needs."""
        block = _Block(
            [
                ShardStates(item, self._plan, width=self._width, dtype=self._recipe.storage_dtype)
                for item in work
            ],
            numbers=[row for item in work for row in item.compute],
            rows=[],
            tokens={},
        )
        for item in work:
            if layout.TOKENS in item.files:
                numbers = range(item.shard.first, item.shard.end)
                block.tokens[item.shard.name] = self._rows.of(numbers)
            block.rows += self._rows.to_encode(item)
        return block

    def write_complete(self, block: _Block) -> None:
        """Begins to write the shards of which no row is to be encoded."""
        for shard in block.shards:
            if not shard.missing:
                block.writing.append(self._writers.submit(self._write, block, shard))

    def land(self, block: _Block, pack: EncodedPack) -> int:
        """Scatters a pack over its shards; those that it completes are written.

        Returns:
            Its tokens.
        """
        states = pack.fetch()
        refuse_infinite(states, pack.pieces, block.numbers, self._plan.rows)
        by_layer = {layer: values.numpy() for layer, values in states.by_layer.items()}
        for piece in pack.pieces:
            row = block.numbers[piece.row]
            shard = block.shard_of[row]
            shard.place(row, piece, by_layer)
            if not shard.missing:
                block.writing.append(self._writers.submit(self._write, block, shard))
        return sum(piece.end - piece.begin for piece in pack.pieces)

    def _write(self, block: _Block, shard: ShardStates) -> None:
        shard.copy_stored(self._index)
        name = shard.work.shard.name
        for layer in list(shard.by_layer):
            hidden = shard.by_layer.pop(layer)
            self._store.put(name, layout.layer_file(layer), *layer_file(hidden, layer=layer))
        if rows := block.tokens.pop(name, None):
            keys = self._plan.keys[shard.work.shard.first : shard.work.shard.end]
            self._store.put(name, layout.TOKENS, tokens_file(shard_tokens(rows, keys)))

    def settle(self, block: _Block, machine: Mapping[str, Any]) -> None:
        """Waits until a block is written, and logs it."""
        for landed in block.landing:
            landed.result()
        for written in block.writing:
            written.result()
        work = [shard.work for shard in block.shards]
        self._store.log(
            {
                **machine,
                "shards": [item.shard.name for item in work],
                "layers": sorted({layer for item in work for layer in item.layers}),
                "rows": len(block.numbers),
                "tokens": sum(item.tokens for item in work),
                "seconds": round(block.seconds, 3),
            }
        )


def seconds_per_token(
    spool: TokenSpool,
    tokenizer: RowTokenizer,
    load_encoder: Callable[[], FrozenEncoder],
    *,
    plan: RowPlan,
    work: Sequence[ShardWork],
    index: RowIndex,
    recipe: Recipe,
    pack_tokens: int,
) -> float:
    """Seconds per token of the encoder, from a sample of the rows that it is to be run on.

    The sample fills packs, for an empty one takes as long as a full one.
    """
    numbers = [row for item in work for row in item.compute]
    mean = max(1.0, float(plan.lengths[numbers].mean()))
    count = min(len(numbers), max(1, int(_SAMPLE_PACKS * pack_tokens / mean)))
    wanted = sorted({numbers[position * len(numbers) // count] for position in range(count)})
    windows = windows_of(recipe)
    rows = RowTokens(spool, tokenizer, plan, index, windows).of(wanted)
    encoder = load_encoder()
    seconds = 0.0
    for _ in range(2):  # the first pass warms up
        begin = time.perf_counter()
        for _ in encode_rows(encoder, rows, windows):
            pass
        seconds = time.perf_counter() - begin
    return seconds / sum(row.length for row in rows)


def _block_tokens(work: Sequence[ShardWork], width: int, dtype: str, pack_tokens: int) -> int:
    layers = max((len(item.layers) for item in work), default=0)
    size = max(1, layers * width * np.dtype(dtype).itemsize)
    return min(max(_BLOCK_TOKENS, _BLOCK_PACKS * pack_tokens), _BLOCK_BYTES // size)


def _blocks(work: Sequence[ShardWork], tokens: int) -> Iterator[list[ShardWork]]:
    """Shards to write, in groups of about so many tokens to encode."""
    block: list[ShardWork] = []
    to_encode = to_write = 0
    for item in work:
        block.append(item)
        to_encode += item.tokens
        to_write += item.shard.tokens
        if to_encode >= tokens or to_write >= 4 * tokens:
            yield block
            block, to_encode, to_write = [], 0, 0
    if block:
        yield block


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[Result]:
    """Yields ``function(item)`` of every item, the next one worked out while one is in use."""
    following: Future[Result] | None = None
    for item in items:
        ready, following = following, pool.submit(function, item)
        if ready is not None:
            yield ready.result()
    if following is not None:
        yield following.result()


def _writers() -> int:
    return min(_MOST_WRITERS, max(2, (os.cpu_count() or 1) // 2))


def _torch_dtype(name: str) -> torch.dtype:
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype
