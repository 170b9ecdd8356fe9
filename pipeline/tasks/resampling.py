"""Predictions of each kind of label as samples, whose headline scores can be drawn again.

The first score of a sample is the one that a head is judged by. On the examples as they are, every
score is that of ``metrics``, ``multilabel`` or ``regression``; on a draw, that of what was drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.corpus.spans import OUTSIDE, entities
from pipeline.tasks.multilabel_metrics import indicators, probability_table, ranked
from pipeline.tasks.regression_metrics import groups_of_equals, standardised

Floats: TypeAlias = npt.NDArray[np.float64]
Measure: TypeAlias = Callable[[Floats], Floats]
"""From (examples, draws) weights to (draws,) scores, NaN where a draw leaves a score undefined."""

LOWER_IS_BETTER = frozenset({"rmse"})


@dataclass(frozen=True)
class Sample:
    """Predictions reduced to what their scores are computed from.

    Attributes:
        examples: how many there are.
        measures: by name of the score.
    """

    examples: int
    measures: Mapping[str, Measure]

    def scores(self) -> dict[str, float | None]:
        """Each score on the examples as they are, ``None`` where it is undefined."""
        once = np.ones((self.examples, 1))
        return {name: _number(measure(once)[0]) for name, measure in self.measures.items()}


@dataclass(frozen=True)
class Counts:
    """What is right, found and gold of each name in each example: (examples, names) float64."""

    right: Floats
    found: Floats
    gold: Floats

    def micro_f1(self, weights: Floats) -> Floats:
        """F1 over all names together, 0 where there is none."""
        right, found, gold = (table.sum(1) for table in (self.right, self.found, self.gold))
        return _ratio(2 * (right @ weights), (found + gold) @ weights)

    def macro_f1(self, weights: Floats) -> Floats:
        """Mean F1 of the names that occur in the draw, 0 where none does."""
        occurring = (self.found + self.gold).T @ weights
        f1 = _ratio(2 * (self.right.T @ weights), occurring)
        return _ratio(f1.sum(0), np.count_nonzero(occurring, axis=0).astype(np.float64))

    def recall(self, weights: Floats) -> Floats:
        """Share of all that is gold that is right: of one name per word, the accuracy."""
        return _ratio(self.right.sum(1) @ weights, self.gold.sum(1) @ weights)


def class_sample(gold: Sequence[str], predicted: Sequence[str]) -> Sample:
    """Of one class per text."""
    counts = _word_counts([[name] for name in gold], [[name] for name in predicted])
    return Sample(len(gold), {"accuracy": counts.recall, "macro_f1": counts.macro_f1})


def tags_sample(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str | None]]) -> Sample:
    """Of one plain tag per word; ``None`` is wrong."""
    counts = _word_counts(gold, predicted)
    return Sample(len(gold), {"word_accuracy": counts.recall, "macro_f1": counts.macro_f1})


def entity_sample(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str | None]]
) -> Sample:
    """Of BIO tags; ``None`` is outside of entities, and a wrong tag."""
    right: list[list[str]] = []
    found: list[list[str]] = []
    truth: list[list[str]] = []
    for tags, guesses in zip(gold, predicted, strict=True):
        a = set(entities(tags))
        b = set(entities([OUTSIDE if guess is None else guess for guess in guesses]))
        for rows, spans in ((right, a & b), (found, b), (truth, a)):
            rows.append([span[0] for span in spans])
    types = sorted({kind for rows in (found, truth) for row in rows for kind in row})
    counts = Counts(*(_table(rows, types) for rows in (right, found, truth)))
    words = _word_counts(gold, predicted)
    return Sample(len(gold), {"entity_f1": counts.micro_f1, "word_accuracy": words.recall})


def multilabel_sample(
    gold: Sequence[Collection[str]],
    predicted: Sequence[Collection[str]],
    probabilities: Sequence[Mapping[str, float]],
) -> Sample:
    """Of any number of labels per text."""
    names = sorted(
        {name for rows in (gold, predicted, probabilities) for row in rows for name in row}
    )
    truth, found = indicators(gold, names), indicators(predicted, names)
    counts = Counts(*(table.astype(np.float64) for table in (truth & found, found, truth)))
    return Sample(
        len(gold),
        {
            "micro_f1": counts.micro_f1,
            "macro_f1": counts.macro_f1,
            "mean_average_precision": _mean_average_precision(
                counts.gold, probability_table(probabilities, names)
            ),
        },
    )


def regression_sample(gold: Sequence[float], predicted: Sequence[float]) -> Sample:
    """Of one number per text."""
    truth, guess = np.array(gold, np.float64), np.array(predicted, np.float64)
    with np.errstate(all="ignore"):
        squares = (guess - truth) ** 2
    ranks = _drawn_ranks(truth), _drawn_ranks(guess)
    values = standardised(truth)[:, None], standardised(guess)[:, None]

    def rmse(weights: Floats) -> Floats:
        with np.errstate(all="ignore"):  # beyond the range of floats it is undefined
            root: Floats = np.sqrt(squares @ weights / weights.sum(0))
        return root

    return Sample(
        len(gold),
        {
            "spearman": lambda weights: _correlation(
                weights, *(standing(weights) for standing in ranks)
            ),
            "pearson": lambda weights: _correlation(weights, *values),
            "rmse": rmse,
        },
    )


def _mean_average_precision(gold: Floats, ranking: Floats) -> Measure:
    """The mean of ``average_precision`` over the labels that a draw has; NaN without any."""
    rankings = [
        _Ranking.of(gold[:, column] > 0, ranking[:, column])
        for column in np.flatnonzero(gold.any(0))
    ]

    def measure(weights: Floats) -> Floats:
        draws = weights.shape[1]
        total, labels = np.zeros(draws), np.zeros(draws)
        for row in rankings:
            right = np.cumsum(weights[row.positives], axis=0)[row.positives_before]
            precision = _ratio(right, np.cumsum(weights[row.order], axis=0)[row.ends])
            gained = np.diff(right, axis=0, prepend=0.0)
            total += _ratio(np.einsum("ed,ed->d", gained, precision), right[-1])
            labels += right[-1] > 0
        return np.where(labels > 0, _ratio(total, labels), np.nan)

    return measure


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
        order, ends = ranked(ranking)
        right = np.cumsum(gold[order])[ends]
        rising = np.diff(right, prepend=0) > 0
        return cls(order, order[gold[order]], ends[rising], right[rising] - 1)


def _drawn_ranks(values: Floats) -> Measure:
    """From weights to (examples, draws) ranks: of each example among all that a draw repeats."""
    group, sizes = groups_of_equals(values)
    order = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes

    def measure(weights: Floats) -> Floats:
        drawn = np.add.reduceat(weights[order], starts, axis=0)
        ranks: Floats = (np.cumsum(drawn, axis=0) - (drawn - 1) / 2)[group]
        return ranks

    return measure


def _correlation(weights: Floats, first: Floats, second: Floats) -> Floats:
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


def _word_counts(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str | None]]
) -> Counts:
    """Counts of each name in each row of words; ``None`` is never found."""
    pairs = [list(zip(a, b, strict=True)) for a, b in zip(gold, predicted, strict=True)]
    right = [[a for a, b in row if a == b] for row in pairs]
    found = [[b for _, b in row if b is not None] for row in pairs]
    truth = [[a for a, _ in row] for row in pairs]
    names = sorted({name for rows in (found, truth) for row in rows for name in row})
    return Counts(*(_table(rows, names) for rows in (right, found, truth)))


def _table(rows: Sequence[Iterable[str]], names: Sequence[str]) -> Floats:
    """(rows, names) how often each row has each name."""
    column = {name: position for position, name in enumerate(names)}
    table = np.zeros((len(rows), len(names)))
    for position, row in enumerate(rows):
        for name, count in Counter(row).items():
            table[position, column[name]] = count
    return table


def _ratio(part: Floats, whole: Floats) -> Floats:
    """``part / whole``, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _number(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
