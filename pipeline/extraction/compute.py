"""Computation of what the store lacks: the encoder on rows that no shard has, then the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import StoreError
from pipeline.corpus.texts import Text
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.encoder.windows import Windows, encode_rows
from pipeline.extraction.plan import RowPlan, Texts, distinct_inputs
from pipeline.extraction.recipes import windows_of
from pipeline.extraction.work import ShardWork
from pipeline.features import layout
from pipeline.features.shards import ShardTokens
from pipeline.store.index import RowIndex
from pipeline.store.keys import Recipe
from pipeline.store.local import LocalStore
from pipeline.store.writer import key_array, layer_file, row_offsets, tokens_file

_SAMPLE_TOKENS = 2048
"""Size of the sample that times this machine, in tokens."""

_BLOCK_TOKENS = 65536
"""Size of a block, in tokens, that is encoded before its shards are written; bounds the memory."""

Item = TypeVar("Item")
Result = TypeVar("Result")
States = dict[tuple[int, int], npt.NDArray[Any]]
"""(tokens, width) in storage precision, by row and layer."""


def compute_missing(
    texts: Texts,
    tokenizer: RowTokenizer,
    load_encoder: Callable[[], FrozenEncoder],
    *,
    plan: RowPlan,
    work: Sequence[ShardWork],
    store: LocalStore,
    index: RowIndex,
    recipe: Recipe,
    width: int,
    machine: Mapping[str, Any],
    progress: Callable[[int], object],
) -> None:
    """Completes the store for a plan, shard after shard.

    Args:
        load_encoder: called once, and only if a row has to be computed.
        index: of the store, as it was planned with.
        machine: what the store's log says of this machine.
        progress: told the number of tokens of each row encoded.

    Raises:
        StoreError: a state is not finite in the storage precision.
    """
    store.write_recipe(recipe)
    encoder: FrozenEncoder | None = None
    windows = windows_of(recipe)
    inputs = distinct_inputs(texts, plan.rows)
    blocks = list(_blocks(work))

    def rows_of(block: Sequence[ShardWork]) -> dict[int, TokenisedRow]:
        return _rows_of(block, inputs, tokenizer, plan, index, windows)

    def write(
        block: Sequence[ShardWork],
        rows: Mapping[int, TokenisedRow],
        states: States,
        kept: Sequence[Future[None]],
        seconds: float,
    ) -> None:
        for row in kept:
            row.result()
        for item in block:
            _write(item, plan, rows, states, store, index, recipe, width)
        store.log(
            {
                **machine,
                "shards": [item.shard.name for item in block],
                "layers": sorted({layer for item in block for layer in item.layers}),
                "rows": sum(len(item.compute) for item in block),
                "tokens": sum(item.tokens for item in block),
                "seconds": round(seconds, 3),
            }
        )

    # While one block is encoded, the next is tokenised and the one before is written. What is
    # written is waited for a block later, so that two blocks at most are in memory.
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        before: Future[None] | None = None
        for block, rows in zip(blocks, _ahead(reader, rows_of, blocks), strict=True):
            begin = time.perf_counter()
            states: States = {}
            kept = []
            if numbers := [row for item in block for row in item.compute]:
                encoder = encoder or load_encoder()
                for position, by_layer in encode_rows(
                    encoder, [rows[row] for row in numbers], windows
                ):
                    row = numbers[position]
                    kept.append(writer.submit(_keep, states, row, by_layer, recipe, plan))
                    progress(rows[row].length)
            seconds = time.perf_counter() - begin
            if before is not None:
                before.result()
            before = writer.submit(write, block, rows, states, kept, seconds)
        if before is not None:
            before.result()


def seconds_per_token(
    texts: Texts,
    tokenizer: RowTokenizer,
    load_encoder: Callable[[], FrozenEncoder],
    *,
    plan: RowPlan,
    work: Sequence[ShardWork],
    recipe: Recipe,
) -> float:
    """Seconds per token of the encoder, from a sample of the rows that it is to be run on."""
    numbers = [row for item in work for row in item.compute]
    mean = max(1.0, float(plan.lengths[numbers].mean()))
    count = min(len(numbers), max(1, int(_SAMPLE_TOKENS / mean)))
    wanted = {numbers[position * len(numbers) // count] for position in range(count)}
    rows = tokenizer([text for row, text in distinct_inputs(texts, plan.rows) if row in wanted])
    encoder = load_encoder()
    seconds = 0.0
    for _ in range(2):  # the first pass warms up
        begin = time.perf_counter()
        for _ in encode_rows(encoder, rows, windows_of(recipe)):
            pass
        seconds = time.perf_counter() - begin
    return seconds / sum(row.length for row in rows)


def _blocks(work: Sequence[ShardWork]) -> Iterator[list[ShardWork]]:
    """Shards to write, in groups with enough rows to compute for well-filled packs."""
    block: list[ShardWork] = []
    for item in work:
        block.append(item)
        if (
            sum(one.tokens for one in block) >= _BLOCK_TOKENS
            or sum(one.shard.tokens for one in block) >= 4 * _BLOCK_TOKENS
        ):
            yield block
            block = []
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


def _rows_of(
    block: Sequence[ShardWork],
    inputs: Iterator[tuple[int, Text]],
    tokenizer: RowTokenizer,
    plan: RowPlan,
    index: RowIndex,
    windows: Windows | None,
) -> dict[int, TokenisedRow]:
    """The rows of a block's shards: as the store has them, or tokenised anew.

    Raises:
        StoreError: a row of the store cannot be encoded; the encoder's tokenizer did not give it.
    """
    rows: dict[int, TokenisedRow] = {}
    unknown = set()
    for item in block:
        for row in range(item.shard.first, item.shard.end):
            stored = index.tokens(plan.keys[row])
            if stored is None:
                unknown.add(row)
            else:
                rows[row] = TokenisedRow(**stored)
        for row in item.compute:
            if row in rows and not _can_be_encoded(rows[row], tokenizer, windows):
                example = plan.rows.example_ids[
                    int(np.flatnonzero(plan.rows.example_rows == row)[0])
                ]
                raise StoreError(
                    f"shard {item.shard.name}: text {example!r} has tokens in the store that its "
                    "tokenizer does not give; remove the shards with it, or let FEATURE_STORE name "
                    "another store"
                )
    found: dict[int, Text] = {}
    while len(found) < len(unknown):
        row, text = next(inputs)
        if row in unknown:
            found[row] = text
    return rows | dict(zip(found, tokenizer(list(found.values())), strict=True))


def _can_be_encoded(row: TokenisedRow, tokenizer: RowTokenizer, windows: Windows | None) -> bool:
    """Whether a stored row is one that the encoder can be given; others may have written it."""
    if row.length == 0 or row.input_ids.min() < 0 or row.input_ids.max() > tokenizer.largest_id:
        return False
    if windows is None:
        return tokenizer.max_length is None or row.length <= tokenizer.max_length
    try:
        windows.over(row)
    except ValueError:
        return False
    return True


def _keep(
    states: States,
    row: int,
    by_layer: Mapping[int, npt.NDArray[np.float32]],
    recipe: Recipe,
    plan: RowPlan,
) -> None:
    """Puts a row's states where they are written from, in the precision of the store."""
    for layer, values in by_layer.items():
        with np.errstate(over="ignore"):  # reported below, with the text's id
            stored = values.astype(recipe.storage_dtype)
        if not np.isfinite(stored).all():
            example = plan.rows.example_ids[int(np.flatnonzero(plan.rows.example_rows == row)[0])]
            advice = "" if recipe.storage_dtype == "float32" else "; set storage_dtype: float32"
            raise StoreError(
                f"layer {layer} of text {example!r} has values that are not finite in "
                f"{recipe.storage_dtype}{advice}"
            )
        states[row, layer] = stored


def _write(
    item: ShardWork,
    plan: RowPlan,
    rows: Mapping[int, TokenisedRow],
    states: States,
    store: LocalStore,
    index: RowIndex,
    recipe: Recipe,
    width: int,
) -> None:
    shard = item.shard
    numbers = range(shard.first, shard.end)
    for layer in item.layers:
        hidden = np.empty((shard.tokens, width), recipe.storage_dtype)
        start = 0
        for row in numbers:
            end = start + int(plan.lengths[row])
            computed = states.get((row, layer))
            hidden[start:end] = (
                index.states(plan.keys[row], layer) if computed is None else computed
            )
            start = end
        store.put(shard.name, layout.layer_file(layer), layer_file(hidden, layer=layer))
    if layout.TOKENS in item.files:
        tokens = _shard_tokens([rows[row] for row in numbers], plan.keys[shard.first : shard.end])
        store.put(shard.name, layout.TOKENS, tokens_file(tokens))


def _shard_tokens(rows: Sequence[TokenisedRow], keys: Sequence[bytes]) -> ShardTokens:
    return ShardTokens(
        per_token={
            layout.INPUT_IDS: np.concatenate([row.input_ids for row in rows]),
            layout.SEGMENT_IDS: np.concatenate([row.segment_ids for row in rows]),
            layout.WORD_INDEX: np.concatenate([row.word_index for row in rows]),
            layout.CHAR_OFFSETS: np.concatenate([row.char_offsets for row in rows]),
        },
        row_offsets=row_offsets(np.array([row.length for row in rows], np.int32)),
        row_keys=key_array(keys),
        row_full_length=np.array([row.full_length for row in rows], np.int32),
        row_words=np.array([row.words for row in rows], np.int32),
    )
