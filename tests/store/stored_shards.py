"""A store with a few small shards, for tests of what reads them."""

from __future__ import annotations

import numpy as np

from pipeline.store.keys import Recipe, shard_name
from pipeline.store.layer_image import layer_file
from pipeline.store.local import LocalStore
from pipeline.store.writer import ShardTokens, key_array, row_offsets, tokens_file

RECIPE = Recipe(
    encoder={"weights": {}, "config": {}, "tokenizer": {}},
    max_length=128,
    long_texts="truncate",
    compute_dtype="float32",
    storage_dtype="float16",
)
WIDTH = 4


def key(number: int) -> bytes:
    """Keys that share their first 8 bytes, by which rows are looked up first, in pairs."""
    return bytes([number // 2]) * 8 + bytes([number]) * 24


def states(number: int, layer: int) -> np.ndarray:
    """Row ``number`` has ``number + 2`` tokens."""
    return np.full((number + 2, WIDTH), 10 * number + layer, np.float16)


def add_shard(store: LocalStore, numbers: list[int], layers: list[int]) -> str:
    name = shard_name([key(number) for number in numbers])
    lengths = np.array([number + 2 for number in numbers], np.int32)
    total = int(lengths.sum())
    tokens = ShardTokens(
        per_token={
            "input_ids": np.repeat(np.array(numbers, np.int32), lengths),
            "segment_ids": np.zeros(total, np.int8),
            "word_index": np.zeros(total, np.int32),
            "char_offsets": np.zeros((total, 2), np.int32),
        },
        row_offsets=row_offsets(lengths),
        row_keys=key_array([key(number) for number in numbers]),
        row_full_length=lengths,
        row_words=lengths,
    )
    store.put(name, "tokens.h5", tokens_file(tokens))
    for layer in layers:
        hidden = np.concatenate([states(number, layer) for number in numbers])
        store.put(name, f"layer_{layer:02d}.h5", *layer_file(hidden, layer=layer))
    return name
