"""Dropout, each token by itself or locked: the same units at all tokens of a text."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.heads.fused import is_fused
from pipeline.heads.packing import PackedBatch

_LEVELS = 1 << 16
_FULL_RANGE = -(1 << 63)


def dropout(values: Tensor, probability: float, locked: PackedBatch | None) -> Tensor:
    """Sets values to zero at random and scales the others up, as ``torch.nn.functional.dropout``.

    Which ones is decided by 16 random bits each, four times as many in a draw of torch's generator:
    torch's own dropout draws a whole number for each, which takes a CPU ten times as long. A GPU
    does torch's in one launch.

    Args:
        values: (tokens, width).
        probability: of each value, in steps of 1 / 65536.
        locked: layout of the texts, for dropout that is the same at all tokens of a text
            (variational, Gal and Ghahramani 2016); ``None`` draws for every token.
    """
    fused = is_fused(values.device)
    if locked is None:
        if fused:
            return F.dropout(values, probability)
        return values * _mask(len(values), values.shape[1], probability, values)
    texts, width = len(locked.lengths), values.shape[1]
    if fused:
        mask = F.dropout(values.new_ones(texts, width), probability)
    else:
        mask = _mask(texts, width, probability, values)
    return values * mask.index_select(0, locked.owners)


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
