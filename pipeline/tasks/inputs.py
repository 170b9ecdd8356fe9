"""Inputs of a head besides states: rows, lengths, words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.tasks.words import Words


@dataclass(frozen=True)
class Inputs:
    """Examples as a head reads them, besides their states.

    Attributes:
        rows: (examples,) int64, each example's row of the states; of pairs whose texts are rows of
            their own, (examples, 2).
        lengths: of the same shape, tokens of each row.
        words: the words of each example, for tasks on words.
    """

    rows: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    words: Sequence[Words] | None

    @property
    def pairs_apart(self) -> bool:
        """Whether examples are pairs, each text a row of its own."""
        return self.rows.ndim == 2

    @property
    def tokens(self) -> npt.NDArray[np.int64]:
        """(examples,) int64: tokens of each, of both texts where pairs are apart."""
        tokens: npt.NDArray[np.int64] = self.lengths.reshape(len(self.lengths), -1).sum(1)
        return tokens

    def rows_of(self, members: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(texts,) int64: rows of some examples; of pairs apart, those of both texts in turn."""
        return self.rows[members].ravel()

    def lengths_of(self, members: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(texts,) int64: tokens of each of ``rows_of``."""
        return self.lengths[members].ravel()
