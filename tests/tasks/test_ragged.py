from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks.ragged import Ragged

LENGTHS = st.lists(st.integers(0, 4), min_size=1, max_size=8)


@given(LENGTHS, st.sampled_from([(), (2,)]))
def test_arrays_are_those_that_were_given(lengths: list[int], rest: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    given_arrays = [rng.integers(0, 9, (length, *rest)) for length in lengths]
    held = Ragged.of(iter(given_arrays), np.int32)
    assert len(held) == len(given_arrays)
    for one, other in zip(held, given_arrays, strict=True):
        assert one.dtype == np.int32
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(held[-1], given_arrays[-1])
    for one, other in zip(held[1:3], given_arrays[1:3], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("place", [2, -3])
def test_a_place_beyond_the_arrays_is_an_error(place: int) -> None:
    held = Ragged.of([np.zeros(1), np.zeros(2)], np.float32)
    with pytest.raises(IndexError, match=f"array {place} of 2"):
        held[place]


def test_no_array_is_an_error() -> None:
    with pytest.raises(ValueError, match="no array"):
        Ragged.of([], np.int32)
