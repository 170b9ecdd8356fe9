"""Ragged arrays: many of different lengths, held as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Ragged(Sequence[Array]):
    """Arrays that differ in their first axis only, one after another in one.

    An array of its own costs more than a hundred bytes besides what it holds: more than the words
    of a sentence.

    Args:
        values: (sum of lengths, ...) the arrays, end to end.
        ends: (arrays,) int64, where each ends.
    """

    def __init__(self, values: Array, ends: npt.NDArray[np.int64]) -> None:
        self.values = values
        self.ends = ends

    @classmethod
    def of(cls, arrays: Iterable[Array], dtype: npt.DTypeLike) -> Ragged:
        """Holds arrays as one, of a type; there must be one at least. None is kept."""
        held, ends, rest = bytearray(), [], None
        for array in arrays:
            held += array.astype(dtype).tobytes()
            ends.append(len(array))
            rest = array.shape[1:]
        if rest is None:
            raise ValueError("no array")
        return cls(np.frombuffer(held, dtype).reshape(-1, *rest), np.cumsum(ends))

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> Array: ...
    @overload
    def __getitem__(self, place: slice) -> list[Array]: ...
    def __getitem__(self, place: int | slice) -> Array | list[Array]:
        """A view of one array, or views of several."""
        if isinstance(place, slice):
            return [self[member] for member in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"array {place} of {len(self)}")
        place %= len(self)
        return self.values[self.ends[place - 1] if place else 0 : self.ends[place]]
