"""Metrics of texts with any number of labels each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.tasks.classification_metrics import Scores, mean_f1, scores


@dataclass(frozen=True)
class LabelScores(Scores):
    """Scores of one label; ``average_precision`` is ``None`` where gold never has it."""

    average_precision: float | None


@dataclass(frozen=True)
class MultilabelScores:
    """Scores of sets of labels.

    Attributes:
        micro: over all pairs of a text and a label.
        macro_f1: unweighted mean over the labels that occur in gold or predictions, 0 without any.
        subset_accuracy: share of texts whose set is right as a whole.
        mean_average_precision: unweighted mean over the labels that gold has; ``None`` without any.
        micro_average_precision: of all pairs of a text and a label in one ranking; ``None`` where
            gold has no label.
        per_label: of each label that occurs in gold or predictions.
    """

    micro: Scores
    macro_f1: float
    subset_accuracy: float
    mean_average_precision: float | None
    micro_average_precision: float | None
    per_label: dict[str, LabelScores]


def multilabel_scores(
    gold: Sequence[Collection[str]],
    predicted: Sequence[Collection[str]],
    probabilities: Sequence[Mapping[str, float]],
) -> MultilabelScores:
    """Scores of predicted sets of labels, and of the probabilities as rankings of texts.

    Args:
        gold: labels of each text.
        predicted: labels predicted for each.
        probabilities: by label; one that a text has none of counts as 0.

    Raises:
        ValueError: the three are not equally long, or empty.
    """
    if not len(gold) == len(predicted) == len(probabilities) or not gold:
        raise ValueError(
            f"{len(gold)} gold sets of labels for {len(predicted)} predictions "
            f"and {len(probabilities)} rows of probabilities"
        )
    names = sorted(
        {name for rows in (gold, predicted, probabilities) for row in rows for name in row}
    )
    truth, found = indicators(gold, names), indicators(predicted, names)
    ranking = probability_table(probabilities, names)
    right = (truth & found).sum(0)
    per_label = {
        name: _label_scores(
            scores(int(right[column]), int(found[:, column].sum()), int(truth[:, column].sum())),
            average_precision(truth[:, column], ranking[:, column]),
        )
        for column, name in enumerate(names)
        if truth[:, column].any() or found[:, column].any()
    }
    precisions = [
        row.average_precision for row in per_label.values() if row.average_precision is not None
    ]
    return MultilabelScores(
        micro=scores(int(right.sum()), int(found.sum()), int(truth.sum())),
        macro_f1=mean_f1(per_label),
        subset_accuracy=float((truth == found).all(1).mean()),
        mean_average_precision=sum(precisions) / len(precisions) if precisions else None,
        micro_average_precision=average_precision(truth.ravel(), ranking.ravel()),
        per_label=per_label,
    )


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
    order, ends = ranked(ranking)
    right = np.cumsum(gold[order])[ends]
    return float(np.sum(np.diff(right, prepend=0) * right / (ends + 1)) / right[-1])


def ranked(ranking: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The order from the highest value down, and the last position of each group of equals."""
    order = np.argsort(-ranking, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(ranking[order]) != 0, True))


def indicators(rows: Sequence[Collection[str]], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(rows, names) bool: which row has which name."""
    column = {name: position for position, name in enumerate(names)}
    table = np.zeros((len(rows), len(names)), bool)
    for position, row in enumerate(rows):
        table[position, [column[name] for name in row]] = True
    return table


def probability_table(
    rows: Sequence[Mapping[str, float]], names: Sequence[str]
) -> npt.NDArray[np.float64]:
    """(rows, names) float64, 0 for a name that a row has no probability of."""
    table = [[row.get(name, 0.0) for name in names] for row in rows]
    return np.array(table, np.float64).reshape(len(rows), len(names))


def _label_scores(row: Scores, precision: float | None) -> LabelScores:
    return LabelScores(row.precision, row.recall, row.f1, row.support, precision)
