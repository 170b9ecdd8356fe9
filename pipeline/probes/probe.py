"""The linear probe: what a linear model makes of the states that a head reads.

A head's score says little by itself: much of it may be BERT's. The probe learns the same labels
from the same layers without a recurrent network (Alain and Bengio 2016, "Understanding intermediate
layers using linear classifier probes"): logistic regression on the mean of a text's states, or on
the state of a word's first token, and ridge regression for numbers. Its penalty is chosen on dev,
and so are its thresholds for several labels, as a head's are.
It has no seed and nothing to tune, so that a head that is no better is not worth its training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.core.errors import TrainingError
from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.layers import kept_layers
from pipeline.features.reader import Features
from pipeline.probes.linear_models import Floats, LinearFit, LinearModel, Loss, best_of
from pipeline.probes.settings import ProbeSettings
from pipeline.probes.states import text_vectors, word_vectors
from pipeline.tasks.dataset import LabelledDataset, Split, build_dataset
from pipeline.tasks.label_type import Link, Row
from pipeline.tasks.registry import label_type_for

L2 = (0.1, 0.01, 0.001, 0.0001)
"""The penalties that are tried; of features of deviation 1, and a mean over rows."""

SEARCH_TOLERANCE = 3e-4
TOLERANCE = {"float32": 1e-5, "float64": 1e-7}
"""While penalties are compared, and of the chosen one; what ``LinearFit.fit`` says of it."""

_LOSS: dict[Link, Loss] = {"softmax": "softmax", "sigmoid": "sigmoid", "identity": "squared"}

_FLOAT64_NUMBERS = 1 << 22
"""Numbers in all training vectors, up to which products are float64: more would be slow."""


@dataclass(frozen=True)
class FittedProbe:
    """Result of a probe.

    Attributes:
        predictions: one per example of dev and test, in the form in which heads write theirs; in
            folds, those of all folds.
        description: ready for JSON: what was learned, from what, and how good each penalty was; in
            folds, ``folds`` has the latter by fold.
    """

    predictions: list[dict[str, Any]]
    description: dict[str, Any]


def fit_probe(
    settings: ProbeSettings, labels: Labels, features: Features, *, hash_cache: HashCache
) -> FittedProbe:
    """Fits the linear probe of a head.

    Args:
        settings: what it shares with the head.
        labels: the label column.
        features: of the same texts.
        hash_cache: cached checksums of the files to read.

    Raises:
        StoreError: a layer is not kept, or the features are damaged or of other texts.
        DataError, TrainingError: see ``by_fold`` and ``build_dataset``; or no training word has a
            token.
    """
    layers = kept_layers(settings.layers, features)
    features.check(layers, hash_cache)
    fits = {fold: _fit(settings, seen, features, layers) for fold, seen in by_fold(labels).items()}
    found = {f"fold_{fold}": fit.description for fold, fit in fits.items()}
    description = {
        "task": settings.task,
        "layers": layers,
        **(fits[None].description if None in fits else {"folds": found}),
        "texts_sha256": labels.texts_sha256,
        "recipe": features.manifest.recipe,
    }
    return FittedProbe([row for fit in fits.values() for row in fit.predictions], description)


def _fit(
    settings: ProbeSettings, labels: Labels, features: Features, layers: Sequence[int]
) -> FittedProbe:
    """The predictions on one dev and test, and the part of the description that is of them."""
    label_type = label_type_for(settings.task, labels.kind)
    dataset = build_dataset(labels, features, label_type)
    vectors_of = word_vectors if label_type.on_words else text_vectors
    splits = dataset.splits
    train: Floats = vectors_of(features, layers, splits["train"])
    if not len(train):
        raise TrainingError("no word of the training split has a token; raise max_length")
    vectors = {name: vectors_of(features, layers, splits[name]) for name in ("dev", "test")}
    if train.size <= _FLOAT64_NUMBERS:
        train = train.astype(np.float64)
    targets = label_type.linear_targets(
        splits["train"].gold, np.concatenate(list(splits["train"].targets)), dataset.names
    )
    fit = LinearFit(train, targets, _LOSS[label_type.link])

    def predict(
        model: LinearModel, name: str, thresholds: Mapping[str, float] | None = None
    ) -> list[Row]:
        return _predictions(model(vectors[name]), dataset, splits[name], thresholds)

    def tune(model: LinearModel) -> dict[str, float] | None:
        return label_type.thresholds(splits["dev"].gold, predict(model, "dev"), dataset.names)

    def score(model: LinearModel) -> float:
        rows = predict(model, "dev", tune(model))
        return label_type.dev_score(label_type.probe_metric, splits["dev"].gold, rows)

    l2, scores = best_of(fit, L2, score=score, tolerance=SEARCH_TOLERANCE)
    model = fit.fit(l2, tolerance=TOLERANCE[train.dtype.name])
    thresholds = tune(model)
    description = {
        "labels": dataset.names,
        "rows": len(train),
        "l2": l2,
        "converged": model.converged,
        "dev_scores": {str(penalty): float(value) for penalty, value in scores.items()},
        **({} if thresholds is None else {"thresholds": thresholds}),
    }
    predictions = [
        {"id": row_id, "split": name, **row}
        for name in vectors
        for row_id, row in zip(splits[name].ids, predict(model, name, thresholds), strict=True)
    ]
    return FittedProbe(predictions, description)


def _predictions(
    outputs: Floats, dataset: LabelledDataset, split: Split, thresholds: Mapping[str, float] | None
) -> list[Row]:
    """Rows of a split from the outputs of its texts, or of its words that have a token."""
    label_type = dataset.label_type
    values = label_type.probabilities(outputs.astype(np.float64))
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
