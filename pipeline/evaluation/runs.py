"""The scores of a head's runs, one per seed and fold, and how far they are spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev, variance
from typing import TypeAlias

from pipeline.corpus.folds import Run, run_names

Numbers: TypeAlias = dict[str, float | None]
SplitScores: TypeAlias = dict[str, Numbers]
"""Headline scores by split and name, ``None`` where a score has no value."""
Measure: TypeAlias = Callable[[Sequence[Sequence[float]]], float]
"""Of the scores of runs, those of a fold together; without folds, those of a seed."""

MEAN, DEVIATION, DEVIATION_OF_SEEDS = "mean", "deviation", "deviation_of_seeds"


def with_spread(scores: Mapping[Run, SplitScores]) -> dict[str, SplitScores]:
    """The scores of two runs or more by their names, then ``mean`` and ``deviation``.

    Without folds, both are over seeds; the deviation is the sample standard deviation. In folds,
    both are over folds, each with the mean of its seeds: what makes one fold harder than another
    is not mixed with what a seed does. Where there are several seeds, ``deviation_of_seeds`` tells
    that apart: within a fold, the root of the folds' mean variance.

    A score that one run has no value of has no mean.
    """
    found = {name: scores[run] for run, name in run_names(scores).items()}
    groups: dict[int | None, list[Run]] = {}
    for run in scores:
        groups.setdefault(run.seed if run.fold is None else run.fold, []).append(run)
    measures: dict[str, Measure] = {MEAN: _mean, DEVIATION: _deviation}
    if any(len(group) > 1 for group in groups.values()):
        measures[DEVIATION_OF_SEEDS] = _deviation_within
    first = next(iter(scores.values()))
    for title, measure in measures.items():
        found[title] = {
            split: {
                name: _of_known(
                    measure,
                    [[scores[run][split][name] for run in group] for group in groups.values()],
                )
                for name in names
            }
            for split, names in first.items()
        }
    return found


def _mean(groups: Sequence[Sequence[float]]) -> float:
    return fmean(map(fmean, groups))


def _deviation(groups: Sequence[Sequence[float]]) -> float:
    return stdev(map(fmean, groups))


def _deviation_within(groups: Sequence[Sequence[float]]) -> float:
    return sqrt(fmean(map(variance, groups)))


def _of_known(measure: Measure, groups: Sequence[Sequence[float | None]]) -> float | None:
    known = [[value for value in group if value is not None] for group in groups]
    return None if list(map(len, known)) != list(map(len, groups)) else measure(known)
