"""One vector per text, or per word, read a block at a time from the states of cached features.

States stay where they are, in the store's files, which are mapped into memory. Vectors of words are
taken from there anew each time. Means of texts are computed once, and where they are many they are
kept in a temporary file that is mapped, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.features.reader import Features
from pipeline.probes.rows import DenseBlock, Rows, Span
from pipeline.tasks.dataset import Split

_NUMBERS_IN_MEMORY = 1 << 24
"""Numbers in the means of texts up to which they are held in memory: 67 MB."""


def vectors_of(features: Features, layers: Sequence[int], split: Split) -> Rows:
    """What a probe reads of a split.

    Args:
        features: opened features.
        layers: resolved layers; several are put side by side.
        split: of a task on words, or on texts.

    Returns:
        Of words, the state of each word's first token, example by example; words without a token
        are left out. Of texts, the mean of their states, special tokens included; of pairs apart,
        those of both texts, joined.
    """
    if split.pairs_apart:
        return PairVectors(TextVectors(features, layers, split.rows.ravel()))
    if split.words is None:
        return TextVectors(features, layers, split.rows)
    starts = features.row_offsets[split.rows]
    tokens = [
        start + words.first[words.first >= 0]
        for start, words in zip(starts, split.words, strict=True)
    ]
    return TokenVectors(features, layers, np.concatenate(tokens))


class TokenVectors(Rows):
    """States of single tokens, from the store's files.

    Args:
        features: opened features.
        layers: resolved layers.
        tokens: (rows,) int64 places among all tokens of the features.
    """

    def __init__(
        self, features: Features, layers: Sequence[int], tokens: npt.NDArray[np.int64]
    ) -> None:
        self._shards = [features.layer_shards(layer) for layer in layers]
        self._starts = np.cumsum([0, *map(len, self._shards[0])])
        self._tokens = tokens
        self._layer_width = features.width
        self.count = len(tokens)
        self.width = features.width * len(layers)

    def read(self, span: Span) -> DenseBlock:
        """See ``Rows``; memory of its own."""
        tokens = self._tokens[span]
        owners = np.searchsorted(self._starts, tokens, side="right") - 1
        stored = self._shards[0][0].dtype
        block = np.empty((len(tokens), self.width), stored)
        for shard in np.unique(owners).tolist():
            inside = np.flatnonzero(owners == shard)
            places = tokens[inside] - self._starts[shard]
            for number, shards in enumerate(self._shards):
                columns = slice(number * self._layer_width, (number + 1) * self._layer_width)
                block[inside, columns] = shards[shard][places]
        return DenseBlock(torch.from_numpy(block).float())


class TextVectors(Rows):
    """Means of the states of texts.

    Args:
        features: opened features.
        layers: resolved layers.
        rows: (texts,) int64 rows of the features.
    """

    def __init__(
        self, features: Features, layers: Sequence[int], rows: npt.NDArray[np.int64]
    ) -> None:
        distinct, self._places = np.unique(rows, return_inverse=True)
        self.count, self.width = len(rows), features.width * len(layers)
        self._means = _numbers(len(distinct), self.width)
        offsets = features.row_offsets
        for number, layer in enumerate(layers):
            columns = slice(number * features.width, (number + 1) * features.width)
            for begin, states in _shards(features, layer):
                first, last = np.searchsorted(
                    offsets[distinct], (begin, begin + len(states))
                ).tolist()
                for place in range(first, last):
                    start, end = offsets[distinct[place] : distinct[place] + 2] - begin
                    self._means[place, columns] = states[start:end].mean(0, dtype=np.float64)

    def read(self, span: Span) -> DenseBlock:
        """See ``Rows``; memory of its own."""
        return DenseBlock(torch.from_numpy(self._means[self._places[span]]))


class PairVectors(Rows):
    """Two vectors each, joined as heads join them: u, v, abs(u - v), u * v and their cosine.

    Args:
        texts: (2 * pairs, width) dense rows, the two of each pair one after the other.
    """

    def __init__(self, texts: Rows) -> None:
        self._texts = texts
        self.count, self.width = texts.count // 2, 4 * texts.width + 1

    def read(self, span: Span) -> DenseBlock:
        """See ``Rows``; memory of its own."""
        block = self._texts.read(slice(2 * span.start, 2 * span.stop))
        assert isinstance(block, DenseBlock)  # noqa: S101  (means of states are no sparse rows)
        return DenseBlock(join_pairs(block.values[::2], block.values[1::2]))


def join_pairs(u: Tensor, v: Tensor) -> Tensor:
    """(pairs, 4 * width + 1): u, v, abs(u - v), u * v and their cosine, of (pairs, width) each."""
    cosine = F.cosine_similarity(u, v, dim=1)[:, None]
    return torch.cat([u, v, (u - v).abs(), u * v, cosine], 1)


def _shards(features: Features, layer: int) -> Iterator[tuple[int, npt.NDArray[np.floating]]]:
    """Every shard of a layer: its first token, and its (tokens, width) states."""
    shards = features.layer_shards(layer)
    starts = np.cumsum([0, *map(len, shards)]).tolist()
    for (begin, _), states in zip(pairwise(starts), shards, strict=True):
        yield begin, states


def _numbers(rows: int, width: int) -> npt.NDArray[np.float32]:
    """(rows, width) float32 to be written: in memory, or where they are many in a file."""
    if rows * width <= _NUMBERS_IN_MEMORY:
        return np.empty((rows, width), np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, mode="w+", shape=(rows, width))
