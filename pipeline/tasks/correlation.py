"""Correlations of numbers and of their ranks, on examples as they are and on draws of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.tasks.resampling import Floats, Measure


def drawn_ranks(values: Floats) -> Measure:
    """Function from weights to (examples, draws) ranks among all examples that a draw repeats.

    Ranks begin at 1; equal values share the mean of their ranks.
    """
    group, sizes = _groups_of_equals(values)
    order = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes

    def measure(weights: Floats) -> Floats:
        drawn = np.add.reduceat(weights[order], starts, axis=0)
        ranks: Floats = (np.cumsum(drawn, axis=0) - (drawn - 1) / 2)[group]
        return ranks

    return measure


def drawn_correlation(weights: Floats, first: Floats, second: Floats) -> Floats:
    """Pearson's correlation on each draw, NaN where one of the two is constant there.

    Args:
        weights: (examples, draws).
        first: (examples, draws) or (examples, 1), the same for every draw.
        second: likewise.
    """
    examples = weights.sum(0)
    a, b = (values - (weights * values).sum(0) / examples for values in (first, second))
    drawn = weights * a
    spreads = np.einsum("ed,ed->d", drawn, a), np.einsum("ed,ed,ed->d", weights, b, b)
    # Of equal values, rounding leaves a spread that is far below this.
    defined = np.logical_and(
        *(
            spread > examples * (1e-12 * np.abs(values).max()) ** 2
            for spread, values in zip(spreads, (first, second), strict=True)
        )
    )
    root = np.sqrt(np.where(defined, spreads[0] * spreads[1], 1.0))
    correlation = np.einsum("ed,ed->d", drawn, b) / root
    return np.where(defined, np.clip(correlation, -1, 1), np.nan)


def standardised(values: Floats) -> Floats:
    """(n,) with mean 0 and deviation 1; all 0 where values are constant."""
    if is_constant(values):
        return np.zeros_like(values)
    # Scaled first: squares of very large or very small numbers would leave the range of floats.
    scaled = values / np.abs(values).max()
    centred: Floats = scaled - scaled.mean()
    centred /= np.abs(centred).max()
    result: Floats = centred / np.sqrt(np.mean(centred**2))
    return result


def is_constant(values: Floats) -> bool:
    """Whether all values are equal."""
    return bool(values.min() == values.max())


def _groups_of_equals(values: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n,) the group of each value, groups in ascending order, and the size of each group."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return group.reshape(-1), sizes
