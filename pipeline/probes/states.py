"""One vector per text, or per word, from the states of cached features.

What is held at once is the vectors themselves, float32, and one shard of one layer: texts are few
numbers whatever their length; words take ``4 x width x layers`` bytes each, 1.5 GB for a million
words of one layer of width 384.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.features.reader import Features
from pipeline.tasks.dataset import Split

Vectors = npt.NDArray[np.float32]


def text_vectors(features: Features, layers: Sequence[int], split: Split) -> Vectors:
    """(examples, layers * width) float32: the mean of each text's tokens, special ones included.

    Of pairs apart, (examples, 4 * layers * width + 1): the means of both texts, joined.
    """
    offsets = features.row_offsets
    rows, place = np.unique(split.rows, return_inverse=True)
    means = np.empty((len(rows), features.width * len(layers)), np.float32)
    for columns, begin, states in _shards(features, layers):
        end = begin + len(states)
        inside = np.flatnonzero((offsets[rows] >= begin) & (offsets[rows] < end))
        for position in inside:
            first, last = offsets[rows[position]] - begin, offsets[rows[position] + 1] - begin
            means[position, columns] = states[first:last].mean(0, dtype=np.float64)
    vectors = means[place.reshape(-1)]
    return _join_pairs(vectors) if split.pairs_apart else vectors


def word_vectors(features: Features, layers: Sequence[int], split: Split) -> Vectors:
    """(words with a token, layers * width) float32: each word's first token, example by example."""
    starts = features.row_offsets[split.rows]
    tokens = np.concatenate(
        [
            start + words.first[words.first >= 0]
            for start, words in zip(starts, split.words or (), strict=True)
        ]
    )
    vectors = np.empty((len(tokens), features.width * len(layers)), np.float32)
    for columns, begin, states in _shards(features, layers):
        inside = np.flatnonzero((tokens >= begin) & (tokens < begin + len(states)))
        vectors[inside, columns] = states[tokens[inside] - begin]
    return vectors


def _join_pairs(vectors: Vectors) -> Vectors:
    """(pairs, 4 * size + 1) float32: u, v, abs(u - v), u * v and their cosine, as heads join them.

    Args:
        vectors: (2 * pairs, size), the two of each pair one after the other.
    """
    u, v = vectors[::2], vectors[1::2]
    lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    product = u * v
    cosine = product.sum(1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return np.concatenate([u, v, np.abs(u - v), product, cosine[:, None]], 1)


def _shards(
    features: Features, layers: Sequence[int]
) -> Iterator[tuple[slice, int, npt.NDArray[np.floating]]]:
    """Every shard of every layer: its columns, its first token, and its (tokens, width) states."""
    for number, layer in enumerate(layers):
        begin = 0
        columns = slice(number * features.width, (number + 1) * features.width)
        for states in features.layer_shards(layer):
            yield columns, begin, states
            begin += len(states)
