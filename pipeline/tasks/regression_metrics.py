"""Metrics of one number per text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RegressionScores:
    """Scores of numbers; ``None`` where a score has no value.

    Attributes:
        spearman: Pearson's correlation of ranks, equal values sharing their mean rank; ``None``
            where gold or predictions are constant.
        pearson: linear correlation; ``None`` where gold or predictions are constant.
        rmse: root of the mean squared error.
        mae: mean absolute error.
        r2: share of gold's variance that is explained, negative for predictions that are worse
            than gold's mean; ``None`` where gold is constant.
    """

    spearman: float | None
    pearson: float | None
    rmse: float | None
    mae: float | None
    r2: float | None


def regression_scores(gold: Sequence[float], predicted: Sequence[float]) -> RegressionScores:
    """Scores of predicted numbers; a score that leaves the range of floats is ``None``.

    Raises:
        ValueError: the two are not equally long, or empty.
    """
    if len(gold) != len(predicted) or not gold:
        raise ValueError(f"{len(gold)} gold numbers for {len(predicted)} predictions")
    truth, guess = np.array(gold, np.float64), np.array(predicted, np.float64)
    with np.errstate(all="ignore"):
        error = guess - truth
        spread = np.sum((truth - truth.mean()) ** 2)
        return RegressionScores(
            spearman=correlation(mean_ranks(truth), mean_ranks(guess)),
            pearson=correlation(truth, guess),
            rmse=_finite(np.sqrt(np.mean(error**2))),
            mae=_finite(np.mean(np.abs(error))),
            r2=None if is_constant(truth) else _finite(1 - np.sum(error**2) / spread),
        )


def correlation(first: Numbers, second: Numbers) -> float | None:
    """Pearson's correlation; ``None`` where one of the two is constant."""
    if is_constant(first) or is_constant(second):
        return None
    a, b = standardised(first), standardised(second)
    return _finite(np.clip(np.mean(a * b), -1, 1))


def standardised(values: Numbers) -> Numbers:
    """(n,) with mean 0 and deviation 1; all 0 where values are constant."""
    if is_constant(values):
        return np.zeros_like(values)
    # Scaled first: squares of very large or very small numbers would leave the range of floats.
    scaled = values / np.abs(values).max()
    centred: Numbers = scaled - scaled.mean()
    centred /= np.abs(centred).max()
    result: Numbers = centred / np.sqrt(np.mean(centred**2))
    return result


def mean_ranks(values: Numbers) -> Numbers:
    """(n,) ranks from 1; equal values share the mean of their ranks."""
    group, sizes = groups_of_equals(values)
    ends = np.cumsum(sizes)
    ranks: Numbers = (ends - (sizes - 1) / 2)[group]
    return ranks


def groups_of_equals(values: Numbers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n,) the group of each value, groups in ascending order, and the size of each group."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return group.reshape(-1), sizes


def is_constant(values: Numbers) -> bool:
    """Whether all values are equal."""
    return bool(values.min() == values.max())


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
