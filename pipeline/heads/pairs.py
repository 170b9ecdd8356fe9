"""Pairs read apart: the vectors of two texts, compared.

Both texts went through one network (a siamese one, Bromley et al. 1993), so that what differs
between their vectors u and v differs between the texts. A linear layer alone cannot compare what it
is given side by side; it is therefore given |u - v| and u * v as well (Tai et al. 2015, Conneau et
al. 2017), and the cosine of u and v, which says by one number how near they are (Reimers and
Gurevych 2019). u and v themselves tell the texts' own part of an answer, and which is which: what
entails need not be entailed.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_SQUARE = 1e-8
"""Of a vector's length, below which it counts as none: its cosine is then 0, and the gradient of
that is finite."""


def joined_size(size: int) -> int:
    """Width of what two vectors of a size are joined to."""
    return 4 * size + 1


def join_pairs(vectors: Tensor) -> Tensor:
    """(pairs, 4 * size + 1): u, v, abs(u - v), u * v and the cosine of u and v, of each pair.

    What a pair gets does not depend on the other pairs, to the last bit: no sum goes across them.

    Args:
        vectors: (2 * pairs, size), the two of each pair one after the other.
    """
    u, v = vectors.view(-1, 2, vectors.shape[1]).unbind(1)
    product = u * v
    squares = u.square().sum(1, keepdim=True), v.square().sum(1, keepdim=True)
    lengths = [square.clamp(min=_LEAST_SQUARE).sqrt() for square in squares]
    cosine = product.sum(1, keepdim=True) / (lengths[0] * lengths[1])
    return torch.cat([u, v, (u - v).abs(), product, cosine], 1)
