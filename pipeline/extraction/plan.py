"""Plan of an extraction: the rows of a corpus, and how they fall into shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError
from pipeline.corpus.texts import Text, TextPair, parts
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.extraction.chunking import shard_boundaries
from pipeline.extraction.length_report import length_report
from pipeline.extraction.recipes import windows_of
from pipeline.extraction.settings import Pairs
from pipeline.extraction.token_spool import TokenSpool
from pipeline.store.index import RowIndex
from pipeline.store.keys import Recipe, row_key, shard_name

_TOKENISE_TEXTS = 1000
_TOKENISE_CHARACTERS = 1_000_000
"""Largest chunk that is tokenised at a time, in texts and, about, in characters."""

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
class CorpusRows:
    """Rows of a corpus, distinct inputs once each.

    Attributes:
        example_ids: id of every example.
        example_rows: (examples,) int64, the row of every example; (examples, 2), the rows of both
            texts, where pairs are apart.
        keys: 32-byte key of every row, in the order in which the corpus first has them.
    """

    example_ids: list[str]
    example_rows: npt.NDArray[np.int64]
    keys: list[bytes]

    @property
    def pairs(self) -> Pairs:
        """How the texts of pairs are read."""
        return "together" if self.example_rows.ndim == 1 else "apart"

    def example_of(self, row: int) -> str:
        """The id of the first example of a row."""
        return self.example_ids[int(np.argwhere(self.example_rows == row)[0, 0])]


@dataclass(frozen=True)
class RowPlan:
    """Division of a corpus's rows into shards; holds no text and no states.

    Attributes:
        rows: the rows.
        lengths: (rows,) int32, tokens of every row.
        full_lengths: (rows,) int32, tokens before truncation.
        shards: in order; together they hold every row once.
        max_length: most tokens that the encoder reads at once.
    """

    rows: CorpusRows
    lengths: npt.NDArray[np.int32]
    full_lengths: npt.NDArray[np.int32]
    shards: list[Shard]
    max_length: int

    @property
    def keys(self) -> list[bytes]:
        """32-byte key of every row."""
        return self.rows.keys

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return int(self.lengths.sum(dtype=np.int64))

    def report(self) -> dict[str, Any]:
        """Counts for the features' report; the same wherever the rows were computed."""
        cut = self.full_lengths - self.lengths
        texts = self.rows.example_rows.ravel()
        return {
            "examples": len(self.rows.example_ids),
            **({"texts": len(texts)} if self.rows.pairs == "apart" else {}),
            "rows": len(self.keys),
            "tokens": self.tokens,
            "truncated_rows": int((cut > 0).sum()),
            "truncated_tokens": int(cut.sum(dtype=np.int64)),
            "windowed_rows": int((self.lengths > self.max_length).sum()),
            "longest_row_before_truncation": int(self.full_lengths.max()),
            "token_lengths": length_report(self.full_lengths[texts]),
        }


def read_rows(texts: Texts, recipe: Recipe, pairs: Pairs = "together") -> CorpusRows:
    """Reads the corpus once to learn which rows it has; tokenises nothing.

    Raises:
        DataError: there are none, or pairs are to be read apart and an example is none.
    """
    digest = recipe.digest()
    ids: list[str] = []
    example_rows: list[int] = []
    row_of: dict[bytes, int] = {}
    for example, text in texts():
        if pairs == "apart" and not isinstance(text, TextPair):
            raise DataError(
                f"example {example!r} is no pair of texts, and pairs are to be read apart: give "
                "its corpus a text_b, or leave out pairs: apart"
            )
        ids.append(example)
        keys = [row_key(digest, one) for one in inputs(text, pairs)]
        example_rows += [row_of.setdefault(key, len(row_of)) for key in keys]
    if not ids:
        raise DataError("the corpus has no texts; run `dvc repro`")
    shape = (len(ids), 2) if pairs == "apart" else (len(ids),)
    return CorpusRows(ids, np.array(example_rows, np.int64).reshape(shape), list(row_of))


def inputs(text: Text, pairs: Pairs) -> tuple[Text, ...]:
    """What the encoder reads of an example, each as a row: all of it, or each text of a pair."""
    return parts(text) if pairs == "apart" else (text,)


def distinct_inputs(texts: Texts, rows: CorpusRows) -> Iterator[tuple[int, Text]]:
    """Yields ``(row, input)`` in the order of rows, each at its first occurrence."""
    following = 0
    read = (one for _, text in texts() for one in inputs(text, rows.pairs))
    for row, one in zip(rows.example_rows.ravel(), read, strict=True):
        if row == following:
            yield following, one
            following += 1


def plan_rows(
    rows: CorpusRows,
    texts: Texts,
    tokenizer: RowTokenizer,
    recipe: Recipe,
    index: RowIndex,
    spool: TokenSpool,
    *,
    shard_tokens: int,
) -> RowPlan:
    """Finds the lengths of all rows, and with them where shards end.

    Rows that the store has are not tokenised again; the tokens of the others go to ``spool``.

    Raises:
        DataError: a text is too long and the recipe says that this is an error, or a pair's shorter
            text fills the windows over the longer one.
    """
    lengths = np.zeros(len(rows.keys), np.int32)
    full_lengths = np.zeros(len(rows.keys), np.int32)
    unknown = set()
    for row, key in enumerate(rows.keys):
        known = index.lengths(key)
        if known is None:
            unknown.add(row)
        else:
            lengths[row], full_lengths[row] = known
    windows = windows_of(recipe)
    new = ((row, text) for row, text in distinct_inputs(texts, rows) if row in unknown)
    for chunk in _chunks(new if unknown else ()):
        numbers = [row for row, _ in chunk]
        tokens = tokenizer([text for _, text in chunk])
        spool.add(numbers, tokens)
        lengths[numbers], full_lengths[numbers] = tokens.lengths, tokens.full_lengths
        if windows is not None:
            for place in np.flatnonzero(tokens.lengths > windows.max_length).tolist():
                room = windows.room(tokens[place])
                _refuse_pair_without_room(rows, numbers[place], room, windows.stride)
    if recipe.long_texts == "error":
        _refuse_long(rows, full_lengths, recipe.max_length)
    boundaries = shard_boundaries(rows.keys, lengths.tolist(), shard_tokens=shard_tokens)
    shards = [
        Shard(
            shard_name(rows.keys[first:end]),
            first,
            end,
            int(lengths[first:end].sum(dtype=np.int64)),
        )
        for first, end in boundaries
    ]
    return RowPlan(rows, lengths, full_lengths, shards, recipe.max_length)


def _refuse_long(rows: CorpusRows, full_lengths: npt.NDArray[np.int32], max_length: int) -> None:
    lengths = full_lengths[rows.example_rows]
    too_long = np.argwhere(lengths > max_length)
    if len(too_long):
        first = too_long[0]
        raise DataError(
            f"text {rows.example_ids[first[0]]!r} has {lengths[tuple(first)]} tokens "
            f"and max_length is {max_length} ({len(too_long)} texts are longer): "
            "raise max_length or set long_texts: window or truncate"
        )


def _refuse_pair_without_room(rows: CorpusRows, row: int, room: int, stride: int) -> None:
    """A pair's shorter text is in every window; the longer one may have no room to move."""
    if room <= stride:
        raise DataError(
            f"text pair {rows.example_of(row)!r}: beside its shorter text, windows have room for "
            f"{max(room, 0)} tokens, and stride is {stride}: raise max_length, lower stride, or "
            "set long_texts: truncate"
        )


def _chunks(inputs: Iterable[tuple[int, Text]]) -> Iterator[list[tuple[int, Text]]]:
    chunk: list[tuple[int, Text]] = []
    characters = 0
    for row, text in inputs:
        chunk.append((row, text))
        characters += sum(map(len, parts(text)))
        if len(chunk) >= _TOKENISE_TEXTS or characters >= _TOKENISE_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
