"""Rankings of examples by a probability, for labels that a text may have several of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.tasks.resampling import Floats, Measure, ratio


def average_precision(gold: npt.NDArray[np.bool_], ranking: npt.NDArray[Any]) -> float | None:
    """Precision at each distinct value of ``ranking``, weighted by the recall gained there.

    There is no interpolation, and equal values stand at one rank together (as in scikit-learn).

    Args:
        gold: (n,) which are positive.
        ranking: (n,) higher is surer.

    Returns:
        The average, ``None`` where nothing is positive.
    """
    if not gold.any():
        return None
    order, ends = _ranked(ranking)
    tp = np.cumsum(gold[order])[ends]
    return float(np.sum(np.diff(tp, prepend=0) * tp / (ends + 1)) / tp[-1])


def mean_average_precision(support: Floats, ranking: Floats) -> Measure:
    """Mean of ``average_precision`` over the labels that a draw has; NaN without any.

    Args:
        support: (examples, labels) 1 where an example has the label.
        ranking: (examples, labels) probabilities.
    """
    rankings = [
        _Ranking.of(support[:, column] > 0, ranking[:, column])
        for column in np.flatnonzero(support.any(0))
    ]

    def measure(weights: Floats) -> Floats:
        draws = weights.shape[1]
        total, labels = np.zeros(draws), np.zeros(draws)
        for row in rankings:
            tp = np.cumsum(weights[row.positives], axis=0)[row.positives_before]
            precision = ratio(tp, np.cumsum(weights[row.order], axis=0)[row.ends])
            gained = np.diff(tp, axis=0, prepend=0.0)
            total += ratio(np.einsum("ed,ed->d", gained, precision), tp[-1])
            labels += tp[-1] > 0
        return np.where(labels > 0, ratio(total, labels), np.nan)

    return measure


def names_of(*rows: Sequence[Collection[str]]) -> list[str]:
    """All names that occur, in alphabetical order."""
    return sorted({name for some in rows for row in some for name in row})


def indicators(rows: Sequence[Collection[str]], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(rows, names) bool: which row has which name."""
    column = {name: place for place, name in enumerate(names)}
    table = np.zeros((len(rows), len(names)), bool)
    for place, row in enumerate(rows):
        table[place, [column[name] for name in row]] = True
    return table


def probability_table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    """(rows, names) float64, 0 for a name that a row has no probability of."""
    table = [[row.get(name, 0.0) for name in names] for row in rows]
    return np.array(table, np.float64).reshape(len(rows), len(names))


@dataclass(frozen=True)
class _Ranking:
    """Examples from the surest down, for one label; recall rises at positives only.

    Attributes:
        order: (examples,) from the highest value down.
        positives: those in ``order`` that have the label.
        ends: the last position in ``order`` of each group of equal values with a positive.
        positives_before: the last position in ``positives`` that such a group reaches.
    """

    order: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    positives_before: npt.NDArray[np.int64]

    @classmethod
    def of(cls, gold: npt.NDArray[np.bool_], ranking: Floats) -> _Ranking:
        order, ends = _ranked(ranking)
        tp = np.cumsum(gold[order])[ends]
        rising = np.diff(tp, prepend=0) > 0
        return cls(order, order[gold[order]], ends[rising], tp[rising] - 1)


def _ranked(ranking: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The order from the highest value down, and the last position of each group of equals."""
    order = np.argsort(-ranking, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(ranking[order]) != 0, True))
