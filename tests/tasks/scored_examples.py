"""Strategies of gold labels and predictions, and rows repeated as a draw repeats them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

LABELS = ["a", "b", "c", "d"]
# Few distinct values, so that equal ones are common.
probability = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
number = st.one_of(st.sampled_from([-1.0, 0.0, 2.5]), st.integers(-50, 50).map(lambda n: n / 8))
label_sets = st.lists(st.sampled_from(LABELS), unique=True).map(lambda names: tuple(sorted(names)))
multilabel_rows = st.lists(
    st.tuples(label_sets, label_sets, st.tuples(*[probability] * len(LABELS))),
    min_size=1,
    max_size=20,
)
number_rows = st.lists(st.tuples(number, number), min_size=1, max_size=20)


def unzipped(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def named(rows: list[tuple[float, ...]]) -> list[dict[str, float]]:
    return [dict(zip(LABELS, row, strict=True)) for row in rows]


def repeated(rows: list[Any], weights: np.ndarray) -> list[Any]:
    """The rows that a draw consists of."""
    return [row for row, times in zip(rows, weights.astype(int), strict=True) for _ in range(times)]
