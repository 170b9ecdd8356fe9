"""Strategies of gold labels and predictions, and rows repeated as a draw repeats them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from pipeline.tasks.words import Words

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


SentencePair = tuple[list[str], list[str]]

_tag = st.sampled_from(["O", "O", "B-x", "I-x", "B-y", "I-y", "B-x-y"])
_sentence_pair: st.SearchStrategy[SentencePair] = st.lists(
    st.tuples(_tag, _tag), min_size=1, max_size=8
).map(lambda words: ([gold for gold, _ in words], [guess for _, guess in words]))
sentence_pairs = st.lists(_sentence_pair, min_size=1, max_size=5)


def words_with(*present: bool) -> Words:
    """Words of one token each, or of none."""
    return Words(np.where(present, np.arange(1, len(present) + 1), -1), np.array(present, np.int64))


ALL_THREE = words_with(True, True, True)


def predicted_sets(rows: list[tuple[Any, ...]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Gold labels and rows of predictions, from ``multilabel_rows``."""
    gold, labels, ranking = unzipped(rows)
    return gold, [
        {"labels": own, "probabilities": probabilities}
        for own, probabilities in zip(labels, named(ranking), strict=True)
    ]


def named(rows: list[tuple[float, ...]]) -> list[dict[str, float]]:
    return [dict(zip(LABELS, row, strict=True)) for row in rows]


def repeated(rows: list[Any], weights: np.ndarray) -> list[Any]:
    """The rows that a draw consists of."""
    return [row for row, times in zip(rows, weights.astype(int), strict=True) for _ in range(times)]
