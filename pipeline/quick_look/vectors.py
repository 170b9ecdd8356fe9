"""What linear probes read of a sample: a vector per text, per word, or per pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from pipeline.features.reader import Features
from pipeline.probes.states import join_pairs
from pipeline.tasks.dataset import Split

Vectors = npt.NDArray[np.float32]

_LAYERS_HELD = 8
"""Layers of a sample that stay in memory."""


class SampleVectors:
    """Vectors of a sample at each layer; a layer is read once for all that asks for it.

    Args:
        features: of the sample, with all layers.
    """

    def __init__(self, features: Features) -> None:
        self._features = features
        self._means = lru_cache(_LAYERS_HELD)(self._row_means)

    def of_texts(self, layers: Sequence[int], split: Split) -> Vectors:
        """(examples, layers * width): the mean of each text's tokens, special ones included."""
        return np.hstack([self._means(layer)[split.rows] for layer in layers])

    def of_words(self, layers: Sequence[int], split: Split) -> Vectors:
        """(words with a token, layers * width): each word's first token, example by example."""
        starts = self._features.row_offsets[split.rows]
        tokens = np.concatenate(
            [
                start + words.first[words.with_token]
                for start, words in zip(starts, split.words or (), strict=True)
            ]
        )
        return np.hstack([self._states(layer)[tokens] for layer in layers]).astype(np.float32)

    def of_pairs(
        self, layer: int, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
    ) -> Vectors:
        """(pairs, 4 * width + 1): the means of two rows each, joined as heads join them."""
        u, v = (torch.from_numpy(self._means(layer)[rows]) for rows in (first, second))
        return join_pairs(u, v).numpy()

    def _states(self, layer: int) -> npt.NDArray[np.floating]:
        return np.concatenate(self._features.layer_shards(layer))

    def _row_means(self, layer: int) -> Vectors:
        """(rows, width): the mean of each row's tokens."""
        offsets = self._features.row_offsets
        sums = np.add.reduceat(self._states(layer), offsets[:-1], axis=0, dtype=np.float64)
        return (sums / np.diff(offsets)[:, None]).astype(np.float32)
