"""Dropout, each token by itself or locked: the same units at all tokens of a text."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def dropout(values: Tensor, probability: float, owners: Tensor | None) -> Tensor:
    """Sets values to zero at random and scales the others up, as ``torch.nn.functional.dropout``.

    Args:
        values: (tokens, width).
        probability: of each value.
        owners: (tokens,) int64, the text that each token belongs to, for dropout that is locked
            (variational, Gal and Ghahramani 2016); ``None`` draws for every token.
    """
    if owners is None:
        return F.dropout(values, probability)
    texts = int(owners[-1]) + 1
    mask = F.dropout(torch.ones(texts, values.shape[1], device=values.device), probability)
    return values * mask.index_select(0, owners)
