"""Dropout, each token by itself or locked: the same units at all tokens of a text."""

from __future__ import annotations

import torch
from torch import Tensor

_LEVELS = 1 << 16
_FULL_RANGE = -(1 << 63)


def dropout(values: Tensor, probability: float, owners: Tensor | None) -> Tensor:
    """Sets values to zero at random and scales the others up, as ``torch.nn.functional.dropout``.

    Which ones is decided by 16 random bits each, four times as many in a draw of torch's generator:
    torch's own dropout draws a whole number for each, which takes a CPU ten times as long.

    Args:
        values: (tokens, width).
        probability: of each value, in steps of 1 / 65536.
        owners: (tokens,) int64, the text that each token belongs to, for dropout that is locked
            (variational, Gal and Ghahramani 2016); ``None`` draws for every token.
    """
    rows = len(values) if owners is None else int(owners[-1]) + 1
    mask = _mask(rows, values.shape[1], probability, values)
    return values * (mask if owners is None else mask.index_select(0, owners))


def _mask(rows: int, width: int, probability: float, like: Tensor) -> Tensor:
    """(rows, width), of the type of ``like``: 0, or 1 / (1 - probability)."""
    if like.device.type == "mps":  # it cannot draw from the full range of whole numbers
        return mask_of_floats(rows, width, probability, like)
    draws = torch.empty(-(-rows * width // 4), dtype=torch.int64, device=like.device)
    bits = draws.random_(_FULL_RANGE, None).view(torch.int16)[: rows * width].view(rows, width)
    # The highest level is always kept: it is the last that 16 bits can be compared with.
    kept = bits >= min(round(probability * _LEVELS), _LEVELS - 1) - _LEVELS // 2
    return kept.to(like.dtype).mul_(1 / (1 - probability))


def mask_of_floats(rows: int, width: int, probability: float, like: Tensor) -> Tensor:
    """(rows, width), as from bits, by a number from 0 to 1 for each."""
    kept = torch.rand(rows, width, device=like.device) >= probability
    return kept.to(like.dtype).mul_(1 / (1 - probability))
