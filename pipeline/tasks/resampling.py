"""Headline metrics as functions of weights on examples, so that they can be drawn again.

A draw of the bootstrap is a column of weights, how often each example is in it; scores that follow
from counts are matrix products of counts and weights. With weights of one, a metric is that of the
examples as they are: there is no second definition of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Measure: TypeAlias = Callable[[Floats], Floats]
"""Function from (examples, draws) weights to (draws,) scores, NaN where one is undefined."""

LOWER_IS_BETTER = frozenset({"rmse"})


@dataclass(frozen=True)
class ResampledMetrics:
    """Predictions reduced to what their headline metrics are computed from.

    Attributes:
        examples: how many there are.
        measures: headline metrics by name, the most important one first.
        others: metrics that a head may be chosen by and that are no headline.
    """

    examples: int
    measures: Mapping[str, Measure]
    others: Mapping[str, Measure] = field(default_factory=dict)

    def scores(self) -> dict[str, float | None]:
        """Each metric on the examples as they are, ``None`` where it is undefined."""
        return {name: self.score(name) for name in self.measures}

    def score(self, name: str) -> float | None:
        """One metric on the examples as they are, ``None`` where it is undefined."""
        measure = {**self.measures, **self.others}[name]
        return finite(measure(np.ones((self.examples, 1)))[0])


@dataclass(frozen=True)
class CountTable:
    """True positives, predictions and gold of each name in each example.

    Each is (examples, names) float64.
    """

    tp: Floats
    pred: Floats
    support: Floats

    def micro_f1(self, weights: Floats) -> Floats:
        """F1 over all names together, 0 where there is none."""
        tp, pred, support = (table.sum(1) for table in (self.tp, self.pred, self.support))
        return ratio(2 * (tp @ weights), (pred + support) @ weights)

    def macro_f1(self, weights: Floats) -> Floats:
        """Unweighted mean F1 of the names that occur in gold or predictions, 0 where none does."""
        occurring = (self.pred + self.support).T @ weights
        f1 = ratio(2 * (self.tp.T @ weights), occurring)
        return ratio(f1.sum(0), np.count_nonzero(occurring, axis=0).astype(np.float64))

    def recall(self, weights: Floats) -> Floats:
        """Share of gold that is predicted: of one name per text or word, the accuracy."""
        return ratio(self.tp.sum(1) @ weights, self.support.sum(1) @ weights)


def count_names(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str | None]]
) -> CountTable:
    """Counts of each name in rows of gold and predictions, place by place.

    A place without a prediction (``None``) counts as wrong.

    Raises:
        ValueError: the two are not equally long, or two rows are not.
    """
    pairs = [list(zip(a, b, strict=True)) for a, b in zip(gold, predicted, strict=True)]
    tp = [[a for a, b in row if a == b] for row in pairs]
    pred = [[b for _, b in row if b is not None] for row in pairs]
    support = [[a for a, _ in row] for row in pairs]
    names = sorted({name for rows in (pred, support) for row in rows for name in row})
    return CountTable(*(occurrences(rows, names) for rows in (tp, pred, support)))


def occurrences(rows: Sequence[Iterable[str]], names: Sequence[str]) -> Floats:
    """(rows, names) how often each row has each name."""
    column = {name: place for place, name in enumerate(names)}
    table = np.zeros((len(rows), len(names)))
    for place, row in enumerate(rows):
        for name, count in Counter(row).items():
            table[place, column[name]] = count
    return table


def ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def finite(value: Any) -> float | None:
    """A number of numpy as Python's, ``None`` where it is not finite."""
    return float(value) if np.isfinite(value) else None
