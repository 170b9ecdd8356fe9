"""What is to be done: the rows of a corpus, how they fall into shards, and what the store lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.corpus.records import Text
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.errors import DataError
from pipeline.store import layout
from pipeline.store.keys import Recipe, row_key, shard_name
from pipeline.store.local import LocalStore
from pipeline.store.shards import shard_boundaries

_TOKENISE_TEXTS = 1000
"""Texts that are tokenised at a time."""

Texts = Callable[[], Iterator[tuple[str, Text]]]
"""Opens the corpus anew: ``(id, text or words)`` in order. It is read twice, never held."""


@dataclass(frozen=True)
class Shard:
    """A planned shard: its name and its rows, from ``first`` to before ``end``."""

    name: str
    first: int
    end: int
    tokens: int


@dataclass(frozen=True)
class RowPlan:
    """Which rows a corpus has and how they fall into shards; holds no text and no states.

    Attributes:
        example_ids: id of every example.
        example_rows: (examples,) int64, the row of every example.
        keys: 32-byte key of every row.
        lengths: (rows,) int32, tokens of every row.
        full_lengths: (rows,) int32, tokens before truncation.
        shards: in order; together they hold every row once.
    """

    example_ids: list[str]
    example_rows: npt.NDArray[np.int64]
    keys: list[bytes]
    lengths: npt.NDArray[np.int32]
    full_lengths: npt.NDArray[np.int32]
    shards: list[Shard]

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return int(self.lengths.sum(dtype=np.int64))

    def report(self) -> dict[str, int]:
        """Counts for the features' report; the same wherever the rows were computed."""
        cut = self.full_lengths - self.lengths
        return {
            "examples": len(self.example_ids),
            "rows": len(self.keys),
            "tokens": self.tokens,
            "truncated_rows": int((cut > 0).sum()),
            "truncated_tokens": int(cut.sum(dtype=np.int64)),
            "longest_row_before_truncation": int(self.full_lengths.max()),
        }


@dataclass(frozen=True)
class ShardWork:
    """What the store lacks of one shard.

    Attributes:
        shard: the shard.
        files: names of the missing files.
        layers: the layers among them.
        compute: rows to run the encoder on, for lack of a shard that has them at all these layers.
        tokens: tokens of those rows.
        bytes: size of the states to write.
    """

    shard: Shard
    files: list[str]
    layers: list[int]
    compute: list[int]
    tokens: int
    bytes: int


def plan_rows(
    texts: Texts,
    tokenizer: RowTokenizer,
    recipe: Recipe,
    *,
    shard_tokens: int,
) -> RowPlan:
    """Tokenises the corpus once to learn its rows and where shards end.

    Raises:
        DataError: a text is too long and the recipe says that this is an error.
    """
    digest = recipe.digest()
    ids: list[str] = []
    example_rows: list[int] = []
    row_of: dict[bytes, int] = {}
    lengths: list[int] = []
    full_lengths: list[int] = []
    for chunk in _chunks(texts(), _TOKENISE_TEXTS):
        new: list[Text] = []
        for example, text in chunk:
            key = row_key(digest, text)
            if key not in row_of:
                row_of[key] = len(row_of)
                new.append(text)
            ids.append(example)
            example_rows.append(row_of[key])
        for row in tokenizer(new):
            lengths.append(row.length)
            full_lengths.append(row.full_length)
    keys = list(row_of)
    if recipe.long_texts == "error":
        _refuse_long(ids, example_rows, full_lengths, recipe.max_length)
    shards = [
        Shard(shard_name(keys[first:end]), first, end, sum(lengths[first:end]))
        for first, end in shard_boundaries(keys, lengths, shard_tokens=shard_tokens)
    ]
    return RowPlan(
        ids,
        np.array(example_rows, np.int64),
        keys,
        np.array(lengths, np.int32),
        np.array(full_lengths, np.int32),
        shards,
    )


def plan_work(
    plan: RowPlan, store: LocalStore, recipe: Recipe, *, layers: Sequence[int], width: int
) -> list[ShardWork]:
    """Compares a plan with the store, shard by shard; complete shards are left out."""
    index = store.index()
    token_bytes = np.dtype(recipe.storage_dtype).itemsize * width
    work = []
    for shard in plan.shards:
        files = store.missing(
            shard.name, [layout.TOKENS, *(layout.layer_file(layer) for layer in layers)]
        )
        if not files:
            continue
        missing = [layer for layer in layers if layout.layer_file(layer) in files]
        compute = [
            row
            for row in range(shard.first, shard.end)
            if any(index.find(plan.keys[row], layer) is None for layer in missing)
        ]
        work.append(
            ShardWork(
                shard=shard,
                files=files,
                layers=missing,
                compute=compute,
                tokens=int(plan.lengths[compute].sum(dtype=np.int64)),
                bytes=shard.tokens * token_bytes * len(missing),
            )
        )
    return work


def bytes_new_to_dvc(
    plan: RowPlan, work: Sequence[ShardWork], store: LocalStore, layers: Sequence[int]
) -> int:
    """Bytes of states that DVC's cache will have to take in.

    What it has already shares its inode with the store's file: a file with one name is new to it.
    """
    lacking = {(item.shard.name, layer) for item in work for layer in item.layers}
    held = [
        store.path(shard.name, layout.layer_file(layer)).stat()
        for shard in plan.shards
        for layer in layers
        if (shard.name, layer) not in lacking
    ]
    unshared = sum(status.st_size for status in held if status.st_nlink == 1)
    return unshared + sum(item.bytes for item in work)


def _refuse_long(
    ids: Sequence[str], example_rows: Sequence[int], full_lengths: Sequence[int], max_length: int
) -> None:
    for example, row in zip(ids, example_rows, strict=True):
        if full_lengths[row] > max_length:
            count = sum(full_lengths[other] > max_length for other in example_rows)
            raise DataError(
                f"text {example!r} has {full_lengths[row]} tokens and max_length is {max_length} "
                f"({count} texts are longer): raise max_length or set long_texts: truncate"
            )


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
