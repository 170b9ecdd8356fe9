"""Inputs of a head besides states: rows, lengths, words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.tasks.words import Words


@dataclass(frozen=True)
class Inputs:
    """Texts as a head reads them, besides their states.

    Attributes:
        rows: (texts,) int64, each text's row of the states.
        lengths: (texts,) int64, tokens of each row.
        words: the words of each text, for tasks on words.
    """

    rows: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    words: Sequence[Words] | None
