from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.batches import scoring_batches, training_batches

LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=300).map(np.array)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**32))
def test_an_epoch_sees_every_example_once(lengths: np.ndarray, size: int, seed: int) -> None:
    batches = training_batches(lengths, batch_size=size, rng=np.random.default_rng(seed))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert max(map(len, batches)) <= size


def test_the_seed_decides_the_order() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 500)

    def order(seed: int) -> list[int]:
        rng = np.random.default_rng(seed)
        return np.concatenate(training_batches(lengths, batch_size=8, rng=rng)).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_batches_hold_nearly_equal_lengths_but_come_in_random_order() -> None:
    lengths = np.random.default_rng(0).integers(1, 101, 3000)
    batches = training_batches(lengths, batch_size=32, rng=np.random.default_rng(0))
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 10 < np.mean([np.ptp(lengths[i : i + 32]) for i in range(0, 3000, 32)])
    means = [lengths[batch].mean() for batch in batches]
    assert means != sorted(means)


@given(LENGTHS, st.integers(1, 40))
def test_scoring_sees_every_example_once_shortest_first(lengths: np.ndarray, size: int) -> None:
    order = np.concatenate(scoring_batches(lengths, batch_size=size))
    assert sorted(order) == list(range(len(lengths)))
    assert (np.diff(lengths[order]) >= 0).all()
