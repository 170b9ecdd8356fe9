from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training import batches
from pipeline.training.batches import shuffled_blocks, training_batches

LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=300).map(np.array)
BLOCK, STRETCH = 1000, 50


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that a small corpus fills several of."""
    monkeypatch.setattr(batches, "BLOCK_TOKENS", BLOCK)
    monkeypatch.setattr(batches, "_STRETCH_TOKENS", STRETCH)


def blocks_of(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], seed: int = 0
) -> list[npt.NDArray[np.int64]]:
    return shuffled_blocks(rows, lengths, np.random.default_rng(seed))


@given(LENGTHS, st.integers(0, 2**32))
def test_blocks_hold_every_example_once(lengths: np.ndarray, seed: int) -> None:
    rows = np.random.default_rng(seed).permutation(len(lengths))
    with pytest.MonkeyPatch.context() as patch:
        for block, stretch in ((1 << 21, 1 << 15), (BLOCK, STRETCH), (60, 7)):
            patch.setattr(batches, "BLOCK_TOKENS", block)
            patch.setattr(batches, "_STRETCH_TOKENS", stretch)
            found = blocks_of(rows, lengths, seed)
            assert sorted(np.concatenate(found)) == list(range(len(lengths)))
            assert min(map(len, found)) > 0


@pytest.mark.usefixtures("small_blocks")
@given(LENGTHS, st.integers(0, 2**32))
def test_blocks_are_bounded(lengths: np.ndarray, seed: int) -> None:
    """Stretches and blocks end behind what they would be cut through."""
    rows = np.random.default_rng(seed).permutation(len(lengths))
    for block in blocks_of(rows, lengths, seed):
        assert lengths[block].sum() < BLOCK + STRETCH + lengths.max()


@pytest.mark.usefixtures("small_blocks")
def test_a_block_is_of_stretches_from_all_over_the_files_and_shuffled() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 20, 1000)
    rows = rng.permutation(1000)
    found = blocks_of(rows, lengths)
    assert len(found) > 5
    for block in found[:-1]:
        places = rows[block]
        assert np.ptp(places) > 800
        assert (np.diff(np.sort(places)) == 1).mean() > 0.7, "read side by side"
        assert (np.diff(places) == 1).mean() < 0.1, "but not in that order"


def test_the_corpus_decides_the_order_not_the_machine() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 500)
    first, again = (blocks_of(np.arange(500), lengths, 3) for _ in range(2))
    assert len(first) == 1
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], blocks_of(np.arange(500), lengths, 4)[0])


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_the_same_for_the_same_seed_only() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 500)
    first, again, other = (blocks_of(np.arange(500), lengths, seed) for seed in (3, 3, 4))
    assert list(map(list, first)) == list(map(list, again))
    assert list(map(list, first)) != list(map(list, other))


@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**32))
def test_batches_hold_every_example_of_a_block_once(
    lengths: np.ndarray, size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    block = rng.permutation(len(lengths))[: max(1, len(lengths) // 2)]
    found = training_batches(block, lengths, batch_size=size, rng=rng)
    assert sorted(np.concatenate(found)) == sorted(block)
    assert max(map(len, found)) <= size
    assert len(found) == -(-len(block) // size)


def test_the_seed_decides_the_order_of_batches() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 500)

    def order(seed: int) -> list[int]:
        rng = np.random.default_rng(seed)
        found = training_batches(np.arange(500), lengths, batch_size=8, rng=rng)
        return np.concatenate(found).tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_batches_hold_nearly_equal_lengths_but_come_in_random_order() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 101, 3000)
    found = training_batches(rng.permutation(3000), lengths, batch_size=32, rng=rng)
    spread = np.mean([np.ptp(lengths[batch]) for batch in found])
    assert spread < 10 < np.mean([np.ptp(lengths[i : i + 32]) for i in range(0, 3000, 32)])
    means = [lengths[batch].mean() for batch in found]
    assert means != sorted(means)
