"""The nearest name is found among those that a person could have meant, in bounded time."""

from __future__ import annotations

import time

import pytest

from pipeline.core.spelling import closest


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("lable", ["text", "label"], "label"),
        ("lable", [], None),
        ("zzz", ["text", "label"], None),
        ("lable", [1, "label"], "label"),
        ("x" * 200, ["x" * 200], None),
    ],
)
def test_the_nearest_name_is_found(name: str, known: list[object], found: str | None) -> None:
    assert closest(name, known) == found


def test_names_of_any_number_and_length_take_bounded_time() -> None:
    begin = time.process_time()
    closest("ab" * 40, ["ba" * 1_000_000, *(f"{'ab' * 40}{number}" for number in range(1_000_000))])
    assert time.process_time() - begin < 5
