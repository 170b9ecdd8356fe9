"""Rows that a linear model reads a block at a time, dense or sparse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from pipeline.core.environment import one_thread

Result = TypeVar("Result")
Span: TypeAlias = slice

_NUMBERS_AT_ONCE = 1 << 20
"""Numbers in a block: 4 MB of float32, which stay in a processor's cache from step to step."""


class Block(ABC):
    """Some rows as a matrix (rows, width)."""

    @abstractmethod
    def times(self, weights: Tensor) -> Tensor:
        """(rows, outputs) float32 product with (width, outputs) float32."""

    @abstractmethod
    def transposed_times(self, values: Tensor) -> Tensor:
        """(width, outputs) float32 product of the transpose with (rows, outputs) float32."""

    @abstractmethod
    def squared(self) -> Block:
        """The same rows with every number squared."""


class DenseBlock(Block):
    """Rows as a tensor (rows, width) float32."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def times(self, weights: Tensor) -> Tensor:
        """See ``Block``."""
        return self.values @ weights

    def transposed_times(self, values: Tensor) -> Tensor:
        """See ``Block``."""
        # The transpose of a product: with few outputs it is six times as fast on a CPU.
        return (values.T @ self.values).T

    def squared(self) -> DenseBlock:
        """See ``Block``."""
        return DenseBlock(self.values.square())


class SparseBlock(Block):
    """Rows as a matrix of SciPy (rows, width) float32, in compressed sparse rows."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def times(self, weights: Tensor) -> Tensor:
        """See ``Block``."""
        return torch.from_numpy(self.values @ weights.numpy())

    def transposed_times(self, values: Tensor) -> Tensor:
        """See ``Block``."""
        return torch.from_numpy(self.values.T @ values.numpy())

    def squared(self) -> SparseBlock:
        """See ``Block``."""
        return SparseBlock(self.values.multiply(self.values).tocsr())


class Rows(ABC):
    """A matrix (rows, width) that is read a block at a time, again and again.

    Attributes:
        count: rows.
        width: columns.
    """

    count: int
    width: int

    @abstractmethod
    def read(self, span: Span) -> Block:
        """Some rows that stand side by side; may be called by several threads at once."""

    def map(self, function: Callable[[Block, Span], Result]) -> Iterator[Result]:
        """Yields what a function makes of each block, in order; of no rows, there is one block.

        Each block is one thread's, and blocks do not depend on how many threads there are: nor
        does what is made of them, to the last bit.
        """
        step = max(1, _NUMBERS_AT_ONCE // self.width)
        spans = [
            slice(begin, min(begin + step, self.count))
            for begin in range(0, max(self.count, 1), step)
        ]
        workers = min(torch.get_num_threads(), len(spans))
        with one_thread():
            if workers < 2:
                yield from (function(self.read(span), span) for span in spans)
                return
            with ThreadPoolExecutor(workers) as pool:
                # A few ahead: results that nobody has asked for yet take memory.
                running: deque[Future[Result]] = deque()
                for span in spans:
                    running.append(pool.submit(lambda own: function(self.read(own), own), span))
                    if len(running) > workers:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()


class DenseRows(Rows):
    """Rows that are in memory.

    Args:
        values: (rows, width) float32.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values
        self.count, self.width = values.shape

    def read(self, span: Span) -> DenseBlock:
        """See ``Rows``; memory of its own."""
        return DenseBlock(self._values[span].clone())


class SparseRows(Rows):
    """Rows of a sparse matrix that is in memory.

    Args:
        values: (rows, width) float32 matrix of SciPy, in compressed sparse rows.
    """

    def __init__(self, values: Any) -> None:
        self._values = values
        self.count, self.width = values.shape

    def read(self, span: Span) -> SparseBlock:
        """See ``Rows``."""
        return SparseBlock(self._values[span])

    def map(self, function: Callable[[Block, Span], Result]) -> Iterator[Result]:
        """Yields what a function makes of all rows: most of their numbers are zeros."""
        yield function(SparseBlock(self._values), slice(0, self.count))
