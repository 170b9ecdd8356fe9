"""The words of a batch: which of its tokens are theirs, and what is read at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.tasks.words import Words


@dataclass(frozen=True)
class WordLayout:
    """The words of a batch that have a token, text after text.

    Attributes:
        lengths: words of each text; 0 where none has a token.
        first: (words,) int64, the first token of each in the batch's row-major tokens.
        count: (words,) int64, its tokens.
        longest: the highest count.
    """

    lengths: list[int]
    first: Tensor
    count: Tensor
    longest: int

    def to(self, device: torch.device) -> WordLayout:
        """This layout with its indices on another device."""
        return WordLayout(self.lengths, self.first.to(device), self.count.to(device), self.longest)


def lay_out_words(texts: Sequence[Words], tokens: npt.NDArray[np.int64]) -> WordLayout:
    """Lays out the words of a batch of texts.

    Args:
        texts: the words of each.
        tokens: (texts,) the tokens of each, special tokens included.
    """
    starts = np.cumsum(tokens) - tokens
    present = [words.with_token for words in texts]
    first = [
        words.first[has] + start for words, has, start in zip(texts, present, starts, strict=True)
    ]
    count = np.concatenate([words.count[has] for words, has in zip(texts, present, strict=True)])
    return WordLayout(
        lengths=[len(part) for part in first],
        first=torch.from_numpy(np.concatenate(first).astype(np.int64)),
        count=torch.from_numpy(count.astype(np.int64)),
        longest=int(count.max(initial=1)),
    )


def read_words(outputs: Tensor, words: WordLayout, subwords: str) -> Tensor:
    """Vectors that a head reads at each word.

    Args:
        outputs: (tokens, width).
        words: where the words stand.
        subwords: ``first``, ``last`` or ``mean`` of a word's tokens.

    Returns:
        (words, width).
    """
    if subwords == "last":
        return outputs.index_select(0, words.first + words.count - 1)
    total = outputs.index_select(0, words.first)
    if subwords == "first":
        return total
    # One token after another, so that a word's sum does not depend on others, nor on the device.
    for token in range(1, words.longest):
        longer = torch.nonzero(words.count > token).squeeze(1)
        following = words.first.index_select(0, longer) + token
        total = total.index_add(0, longer, outputs.index_select(0, following))
    return total / words.count[:, None]
