"""The words of texts: which tokens of a row are theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from pipeline.tasks.ragged import Ragged

NO_TOKEN = -1
"""First token of a word that has none: cut off by truncation, or made of nothing that tokenises."""


@dataclass(frozen=True)
class Words:
    """The tokens of one text's words.

    Attributes:
        first: (words,) int32, the first token of each word in its row, ``NO_TOKEN`` without one.
        count: (words,) int32, how many tokens the word has; they stand side by side.
    """

    first: npt.NDArray[np.integer]
    count: npt.NDArray[np.integer]

    @classmethod
    def of(cls, word_index: npt.NDArray[np.int32], words: int) -> Words:
        """Words from the word index of each token of a row, -1 for special tokens.

        Args:
            word_index: (tokens,) int32.
            words: words of the whole input.

        Raises:
            ValueError: a token belongs to a word that the input does not have, or the tokens of a
                word do not stand side by side.
        """
        tokens = np.flatnonzero(word_index >= 0)
        owners = word_index[tokens]
        if len(tokens) and owners.max() >= words:
            raise ValueError(f"token of word {owners.max()} in an input of {words} words")
        first = np.full(words, NO_TOKEN, np.int32)
        # Backwards, so that a word's first token is the one that stays.
        first[owners[::-1]] = tokens[::-1]
        count = np.bincount(owners, minlength=words).astype(np.int32)
        last = np.full(words, NO_TOKEN, np.int32)
        last[owners] = tokens
        if not np.array_equal((last - first + 1)[count > 0], count[count > 0]):
            raise ValueError("the tokens of a word do not stand side by side")
        return cls(first, count)

    @property
    def with_token(self) -> npt.NDArray[np.bool_]:
        """(words,) whether each word has a token: the words that a head reads."""
        present: npt.NDArray[np.bool_] = self.first != NO_TOKEN
        return present


class TextWords(Sequence[Words]):
    """The words of each of many texts, held as one array of numbers as narrow as can be.

    Args:
        texts: the words of each.
        tokens: most tokens of a text.
    """

    def __init__(self, texts: Iterable[Words], *, tokens: int) -> None:
        places = (np.stack([words.first, words.count], axis=1) for words in texts)
        self._places = Ragged.of(places, np.min_scalar_type(-tokens - 1))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, text: int) -> Words: ...
    @overload
    def __getitem__(self, text: slice) -> list[Words]: ...
    def __getitem__(self, text: int | slice) -> Words | list[Words]:
        """The words of one text, or of several."""
        if isinstance(text, slice):
            return [self[member] for member in range(*text.indices(len(self)))]
        first, count = self._places[text].T.astype(np.int32)
        return Words(first, count)
