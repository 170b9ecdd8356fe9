"""The words of a batch: which of its tokens are theirs, and what is read at them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.heads.fused import is_fused
from pipeline.heads.indices import Indices
from pipeline.heads.packing import PackedBatch
from pipeline.tasks.words import Words


class WordLayout(Indices):
    """The words of a batch that have a token, text after text.

    Args:
        lengths: (texts,) int64, words of each text; 0 where none has a token.
        first: (words,) int64, the first token of each in the batch's row-major tokens.
        count: (words,) int64, its tokens.
        device: where indices are.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        first: npt.NDArray[np.int64],
        count: npt.NDArray[np.int64],
        device: torch.device,
    ) -> None:
        super().__init__(
            {
                "first": lambda: first,
                "last": lambda: first + count - 1,
                "count": lambda: count,
                "tokens": self._tokens,
            },
            device,
        )
        self.lengths = lengths
        self.longest = int(count.max(initial=1))
        self._first, self._count = first, count

    @cached_property
    def sequences(self) -> PackedBatch | None:
        """The layout of the texts that have words, as sequences of words; ``None`` without any."""
        present = self.lengths[self.lengths > 0]
        return PackedBatch(present, self.device) if len(present) else None

    def to(self, device: torch.device) -> WordLayout:
        """This layout with its indices on another device."""
        if device == self.device:
            return self
        return WordLayout(self.lengths, self._first, self._count, device)

    def _tokens(self) -> npt.NDArray[np.int64]:
        """(words * longest,) each word's tokens, its last one again where it has fewer."""
        token = np.minimum(np.arange(self.longest), self._count[:, None] - 1)
        return (self._first[:, None] + token).ravel()


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
        lengths=np.array([len(part) for part in first], np.int64),
        first=np.concatenate(first).astype(np.int64),
        count=count.astype(np.int64),
        device=torch.device("cpu"),
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
    if subwords != "mean":
        return outputs.index_select(0, words.index(subwords))
    if is_fused(outputs.device):
        return _mean_of_padded(outputs, words)
    total = outputs.index_select(0, words.index("first"))
    # One token after another, so that a word's sum does not depend on others.
    for token in range(1, words.longest):
        longer = torch.nonzero(words.index("count") > token).squeeze(1)
        following = words.index("first").index_select(0, longer) + token
        total = total.index_add(0, longer, outputs.index_select(0, following))
    return total / words.index("count")[:, None]


def _mean_of_padded(outputs: Tensor, words: WordLayout) -> Tensor:
    """The mean of each word's tokens, without a step for each token of the longest word."""
    count = words.index("count")[:, None]
    share = (torch.arange(words.longest, device=count.device) < count) / count
    tokens = outputs.index_select(0, words.index("tokens")).unflatten(0, (-1, words.longest))
    return torch.bmm(share.to(outputs.dtype)[:, None], tokens).squeeze(1)
