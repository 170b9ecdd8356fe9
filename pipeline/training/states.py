"""Where a training loop gets the states of its rows from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.store.reader import Features


class StatesSource(Protocol):
    """Gives the token states of rows; the same values however often it is asked."""

    width: int

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(tokens of all rows, width) float32: the rows' states one after another."""
        ...


class CachedStates:
    """States of chosen layers, held in memory in the precision of the store.

    Args:
        features: opened features.
        layers: resolved layers; several are concatenated along the width.
        device: where the states are held and given.
    """

    def __init__(self, features: Features, layers: Sequence[int], device: torch.device) -> None:
        columns = [np.concatenate(features.layer_shards(layer)) for layer in layers]
        hidden = columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)
        self._hidden = torch.from_numpy(hidden).to(device)
        self._offsets = features.row_offsets
        self.width = hidden.shape[1]

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(tokens of all rows, width) float32: the rows' states one after another."""
        starts, ends = self._offsets[rows], self._offsets[rows + 1]
        lengths = ends - starts
        # Token t of a row stands at the row's start + t.
        shifts = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        index = torch.from_numpy(np.arange(lengths.sum()) + shifts)
        return self._hidden.index_select(0, index.to(self._hidden.device)).float()
