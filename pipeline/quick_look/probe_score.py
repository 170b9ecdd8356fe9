"""Score of one linear probe on the dev rows of a sample."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pipeline.probes.linear_models import Floats, LinearFit, LinearModel, Loss, best_of
from pipeline.tasks.dataset import LabelledDataset, Split
from pipeline.tasks.label_type import Link, Row

_L2 = (10.0, 1.0, 0.1, 0.01, 0.001)
"""Penalties that are tried; several layers side by side, of few rows, need large ones."""

_TOLERANCE = 1e-3
"""Of each fit: what would come of a smaller one is far below what dev rows can tell."""

_LOSS: dict[Link, Loss] = {"softmax": "softmax", "sigmoid": "sigmoid", "identity": "squared"}


def probe_score(vectors: Mapping[str, Floats], dataset: LabelledDataset) -> float:
    """The best dev score of a linear probe, over its penalties: higher is better.

    The score is the one that a probe's penalty is chosen by, which is the task's headline metric.

    Args:
        vectors: (rows, features) of the splits ``train`` and ``dev``; those of training are
            changed.
        dataset: labels of the same rows.
    """
    label_type, train, dev = dataset.label_type, dataset.splits["train"], dataset.splits["dev"]
    targets = label_type.linear_targets(
        train.gold, np.concatenate(list(train.targets)), dataset.names
    )
    fit = LinearFit(vectors["train"], targets, _LOSS[label_type.link])

    def score(model: LinearModel) -> float:
        outputs = label_type.probabilities(model(vectors["dev"]))
        rows = _answers(outputs, dataset, dev, None)
        thresholds = label_type.thresholds(dev.gold, rows, dataset.names)
        if thresholds is not None:
            rows = _answers(outputs, dataset, dev, thresholds)
        return label_type.dev_score(label_type.probe_metric, dev.gold, rows)

    best, scores = best_of(fit, _L2, score=score, tolerance=_TOLERANCE)
    return scores[best]


def _answers(
    values: npt.NDArray[np.float64],
    dataset: LabelledDataset,
    split: Split,
    thresholds: Mapping[str, float] | None,
) -> list[Row]:
    """Rows of a split from the probabilities of its texts, or of its words that have a token."""
    best = values.argmax(1)
    counts = [1] * len(split)
    if split.words is not None:
        counts = [int(words.with_token.sum()) for words in split.words]
        values = np.take_along_axis(values, best[:, None], 1)
    ends = np.cumsum(counts).tolist()
    return [
        dataset.label_type.answer(
            dataset.names,
            values[end - count : end],
            best[end - count : end],
            words=None if split.words is None else split.words[place],
            thresholds=thresholds,
        )
        for place, (count, end) in enumerate(zip(counts, ends, strict=True))
    ]
