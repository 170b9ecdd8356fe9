from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from fused_heads import everywhere
from launches import Launches

from pipeline.heads.indices import Indices, Staging, in_one_copy

CPU, META = torch.device("cpu"), torch.device("meta")


def part(number: int, device: torch.device, made: list[str] | None = None) -> Indices:
    def make(name: str) -> np.ndarray:
        if made is not None:
            made.append(f"{name}{number}")
        return np.arange(number + 1) * (1 if name == "a" else 10)

    return Indices({"a": lambda: make("a"), "b": lambda: make("b")}, device)


def test_an_array_is_made_when_it_is_first_asked_for() -> None:
    made: list[str] = []
    indices = part(3, CPU, made)
    assert made == []
    for _ in range(2):
        assert indices.index("b").tolist() == [0, 10, 20, 30]
    assert made == ["b3"]
    assert indices.asked == {"b"}


def test_what_one_batch_asks_for_is_sent_ahead_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everywhere(monkeypatch)
    made: list[str] = []
    taken: list[int] = []

    def batches() -> Iterator[Indices]:
        for number in range(8):
            taken.append(number)
            yield part(number, META, made)

    waits = []
    with Launches() as counted:
        staging = Staging(META, ahead=3)
        for number, batch in enumerate(staging(batches(), lambda batch: {"only": batch})):
            assert taken == list(range([1, 4, 4, 4, 7, 7, 7, 8][number]))
            batch.index("a")
            waits.append(counted.copies)
    assert waits == [1] * 8
    assert made == [f"a{number}" for number in range(8)]


def test_what_was_seen_is_not_forgotten_in_the_next_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(monkeypatch)
    staging = Staging(META, ahead=3)
    with Launches() as counted:
        for _ in range(2):
            for batch in staging(iter([part(1, META), part(2, META)]), lambda one: {"only": one}):
                batch.index("a")
    assert counted.copies == 1


def test_on_a_cpu_nothing_is_made_ahead() -> None:
    made: list[str] = []
    batches = iter([part(number, CPU, made) for number in range(3)])
    for batch in Staging(CPU, ahead=2)(batches, lambda batch: {"only": batch}):
        batch.index("a")
        assert len(made) == made.index(made[-1]) + 1
    assert made == ["a0", "a1", "a2"]


def test_arrays_of_any_shape_and_dtype_arrive_as_they_are() -> None:
    arrays = [
        np.arange(6).reshape(2, 3),
        np.array([1.5, 2.5], np.float32),
        np.zeros((0, 4), np.int64),
        np.array([7]),
    ]
    for array, tensor in zip(arrays, in_one_copy(arrays, CPU), strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)
        assert tensor.numpy().dtype == array.dtype
    with Launches() as counted:
        in_one_copy(arrays, META)
    assert (counted.by_name["_to_copy"], counted.copies) == (2, 0)
    assert in_one_copy([], CPU) == []
