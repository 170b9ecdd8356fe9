"""A linear model of a label column, from whatever each example is described by.

Its penalty is chosen on dev, and so are its thresholds for several labels, as a head's are. It has
no seed and nothing to tune, so that a head that is no better is not worth its training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import TrainingError
from pipeline.probes.fitted import FittedRival
from pipeline.probes.linear_models import LinearFit, LinearModel, Loss
from pipeline.probes.penalties import choose_penalty
from pipeline.probes.rows import Rows
from pipeline.tasks.dataset import LabelledDataset, Split
from pipeline.tasks.label_type import Link, Row

TOLERANCE = 1e-3
"""Where a fit ends: see ``LinearFit.fit``.

On 118,000 words with 72 tags, the share of tagged words of dev that were right was then within
0.002 of what fits of 58 to 123 evaluations gave, for penalties from 0.01 to 0.0001.
"""

_LOSS: dict[Link, Loss] = {"softmax": "softmax", "sigmoid": "sigmoid", "identity": "squared"}

Describe: TypeAlias = Callable[[Split], Rows]
"""The rows of a split: one per text, or one per word that has a token."""


def fit_linear(
    dataset: LabelledDataset,
    describe: Describe,
    *,
    start: int,
    tolerance: float = TOLERANCE,
    predicted: Sequence[str] = ("dev", "test"),
) -> FittedRival:
    """Fits a linear model on train, and predicts dev and test.

    Args:
        dataset: train, dev and what else is predicted.
        describe: rows of each split.
        start: power of ten of the penalty that is tried first.
        tolerance: see ``LinearFit.fit``.
        predicted: splits, dev among them.

    Raises:
        TrainingError: no training word has a token.
    """
    label_type, splits = dataset.label_type, dataset.splits
    train = splits["train"]
    rows = {name: describe(splits[name]) for name in ("train", *predicted)}
    if not rows["train"].count:
        raise TrainingError("no word of the training split has a token; raise max_length")
    fit = LinearFit(
        rows["train"],
        label_type.linear_targets(train.gold, np.concatenate(list(train.targets)), dataset.names),
        outputs=label_type.outputs(dataset.names),
        loss=_LOSS[label_type.link],
    )

    def predict(
        model: LinearModel, name: str, thresholds: Mapping[str, float] | None = None
    ) -> list[Row]:
        return _predictions(model(rows[name]), dataset, splits[name], thresholds)

    def tune(model: LinearModel) -> dict[str, float] | None:
        return label_type.thresholds(splits["dev"].gold, predict(model, "dev"), dataset.names)

    def score(model: LinearModel) -> float:
        found = predict(model, "dev", tune(model))
        return label_type.dev_score(label_type.probe_metric, splits["dev"].gold, found)

    chosen = choose_penalty(fit, start=start, score=score, tolerance=tolerance)
    thresholds = tune(chosen.model)
    description = {
        "labels": dataset.names,
        "rows": rows["train"].count,
        "columns": rows["train"].width,
        "l2": chosen.l2,
        "at_end": chosen.at_end,
        "converged": chosen.model.converged,
        "dev_scores": {f"{l2:g}": float(value) for l2, value in chosen.scores.items()},
        **({} if thresholds is None else {"thresholds": thresholds}),
    }
    predictions = [
        {"id": row_id, "split": name, **row}
        for name in predicted
        for row_id, row in zip(
            splits[name].ids, predict(chosen.model, name, thresholds), strict=True
        )
    ]
    return FittedRival(predictions, description)


def _predictions(
    outputs: npt.NDArray[np.float64],
    dataset: LabelledDataset,
    split: Split,
    thresholds: Mapping[str, float] | None,
) -> list[Row]:
    """Rows of a split from the outputs of its texts, or of its words that have a token."""
    label_type = dataset.label_type
    values = label_type.probabilities(outputs)
    best = values.argmax(1)
    counts = [1] * len(split)
    if split.words is not None:
        counts = [int(words.with_token.sum()) for words in split.words]
        values = np.take_along_axis(values, best[:, None], 1)
    ends = np.cumsum(counts).tolist()
    return [
        label_type.answer(
            dataset.names,
            values[end - count : end],
            best[end - count : end],
            words=None if split.words is None else split.words[place],
            thresholds=thresholds,
        )
        for place, (count, end) in enumerate(zip(counts, ends, strict=True))
    ]
