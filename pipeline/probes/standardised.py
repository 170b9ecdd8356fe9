"""Dense rows with mean 0 and deviation 1, and the directions in which they vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from pipeline.probes.rows import Block, DenseBlock, Rows, Span

_HELD_NUMBERS = 1 << 24
"""Numbers of standardised rows that are held in memory, 67 MB: what is beyond is read anew."""

_ROWS_PER_DIRECTION = 4
"""Rows that a covariance is taken from, at the most, for each column."""

_SAMPLED_NUMBERS = 1 << 22
"""The same of those that are looked at to choose coordinates: 17 MB."""


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of each column: (width,) float64.

    A column that is constant but for rounding has a deviation of 1, and so becomes 0.
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, rows: Rows) -> Moments:
        """Those of all rows, block by block (Chan, Golub and LeVeque 1983)."""
        count, mean, squares = 0, torch.zeros(rows.width), torch.zeros(rows.width)
        mean, squares = mean.double(), squares.double()
        for own, own_mean, own_squares in rows.map(lambda block, _: _block_moments(block)):
            total = count + own
            off = own_mean - mean
            mean = mean + off * own / total
            squares = squares + own_squares + off.square() * count * own / total
            count = total
        deviation = (squares / count).sqrt()
        deviation[deviation <= 1e-6 * mean.abs()] = 1.0
        return cls(mean, deviation)


class Standardised(Rows):
    """Rows less their mean, over their deviation.

    Args:
        rows: dense ones.
        moments: of them.
    """

    def __init__(self, rows: Rows, moments: Moments) -> None:
        self._rows = rows
        self._mean, self._deviation = moments.mean.float(), moments.deviation.float()
        self.count, self.width = rows.count, rows.width
        self._held: dict[int, DenseBlock] = {}

    def read(self, span: Span) -> DenseBlock:
        """See ``Rows``; what is held is not to be written to."""
        held = self._held.get(span.start)
        if held is not None and len(held.values) == span.stop - span.start:
            return held
        block = cast("DenseBlock", self._rows.read(span))
        block.values.sub_(self._mean).div_(self._deviation)
        if span.stop * self.width <= _HELD_NUMBERS:
            self._held[span.start] = block
        return block


def sampled(rows: Standardised) -> tuple[Tensor, Tensor]:
    """Some thousand rows at equal distances, and the directions in which they vary.

    They say in which coordinates to descend, no more: what is found does not depend on them.

    Returns:
        (sampled, width) float32 rows in these coordinates, and (width, width) float64 the
        eigenvectors of the covariance, in columns.
    """
    every = -(-rows.count // (_ROWS_PER_DIRECTION * rows.width))
    vectors = torch.linalg.eigh(_products(rows, every).double())[1]
    narrow = vectors.float()
    every = -(-rows.count * rows.width // _SAMPLED_NUMBERS)
    return torch.cat(list(rows.map(lambda *block: _every(every, *block) @ narrow))), vectors


def _products(rows: Standardised, every: int) -> Tensor:
    """(width, width) float32 the covariance of every so many rows, times their number."""
    total = torch.zeros(rows.width, rows.width)

    def product(block: Block, span: Span) -> Tensor:
        values = _every(every, block, span)
        return values.T @ values

    for found in rows.map(product):
        total += found
    return total


def _every(count: int, block: Block, span: Span) -> Tensor:
    """One row of so many, counted over all blocks."""
    return cast("DenseBlock", block).values[-span.start % count :: count]


def _block_moments(block: object) -> tuple[int, Tensor, Tensor]:
    """Rows of a block, their mean, and the sum of squared distances to it."""
    values = cast("DenseBlock", block).values.double()
    mean = values.mean(0)
    return len(values), mean, (values - mean).square().sum(0)
