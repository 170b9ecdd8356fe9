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
import numpy.typing as npt

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
from pipeline.tasks.dev_score import dev_score
from pipeline.tasks.tasks import LABEL_KINDS, Task
from pipeline.tasks.thresholds import best_thresholds

L2 = (0.1, 0.01, 0.001, 0.0001)
"""The penalties that are tried; of features of deviation 1, and a mean over rows."""

SEARCH_TOLERANCE = 3e-4
TOLERANCE = {"float32": 1e-5, "float64": 1e-7}
"""While penalties are compared, and of the chosen one; what ``LinearFit.fit`` says of it."""

_FLOAT64_NUMBERS = 1 << 22
"""Numbers in all training vectors, up to which products are float64: more would be slow."""

_LOSS: dict[Task, Loss] = {
    "sequence_classification": "softmax",
    "multilabel_classification": "sigmoid",
    "regression": "squared",
    "token_classification": "softmax",
}

_METRIC = {
    "class": "macro_f1",
    "classes": "micro_f1",
    "number": "spearman",
    "tags": "word_accuracy",
    "bio": "entity_f1",
}
"""What a penalty is chosen by, on dev."""


@dataclass(frozen=True)
class FittedProbe:
    """What a probe gives.

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
    data = build_dataset(labels, features, kinds=LABEL_KINDS[settings.task], scheme=None)
    vectors_of = word_vectors if settings.task == "token_classification" else text_vectors
    train: Floats = vectors_of(features, layers, data.splits["train"])
    if not len(train):
        raise TrainingError("no word of the training split has a token; raise max_length")
    vectors = {name: vectors_of(features, layers, data.splits[name]) for name in ("dev", "test")}
    if train.size <= _FLOAT64_NUMBERS:
        train = train.astype(np.float64)
    fit = LinearFit(train, _targets(data, settings.task), _LOSS[settings.task])

    def thresholds_of(model: LinearModel) -> dict[str, float] | None:
        if settings.task != "multilabel_classification":
            return None
        return _thresholds(model(vectors["dev"]), data)

    def rows(
        model: LinearModel, name: str, thresholds: Mapping[str, float] | None
    ) -> list[dict[str, Any]]:
        return _predictions(model(vectors[name]), data, name, settings.task, thresholds or {})

    def score(model: LinearModel) -> float:
        found = rows(model, "dev", thresholds_of(model))
        return dev_score(_METRIC[data.kind], data.kind, data.splits["dev"].gold, found)

    l2, scores = best_of(fit, L2, score=score, tolerance=SEARCH_TOLERANCE)
    model = fit.fit(l2, tolerance=TOLERANCE[train.dtype.name])
    thresholds = thresholds_of(model)
    description = {
        "labels": data.names,
        "rows": len(train),
        "l2": l2,
        "converged": model.converged,
        "dev_scores": {str(penalty): float(value) for penalty, value in scores.items()},
        **({} if thresholds is None else {"thresholds": thresholds}),
    }
    predictions = [row for name in vectors for row in rows(model, name, thresholds)]
    return FittedProbe(predictions, description)


def _targets(data: LabelledDataset, task: Task) -> npt.NDArray[np.float64]:
    """(rows, outputs) float64, one row per text, or per word that has a token."""
    split = data.splits["train"]
    if task == "regression":
        return np.array(split.gold, np.float64)[:, None]
    column = {name: place for place, name in enumerate(data.names)}
    if task == "token_classification":
        names = [
            [tag]
            for tags, words in zip(split.gold, split.words or (), strict=True)
            for tag, first in zip(tags, words.first, strict=True)
            if first >= 0
        ]
    else:
        names = [[gold] if isinstance(gold, str) else list(gold) for gold in split.gold]
    targets = np.zeros((len(names), len(column)))
    for row, own in enumerate(names):
        targets[row, [column[name] for name in own]] = 1
    return targets


def _thresholds(outputs: npt.NDArray[np.float64], data: LabelledDataset) -> dict[str, float]:
    """What is best on dev, whose outputs these are, of probabilities as they are written."""
    shares = [_shares(data.names, row) for row in _sigmoid(outputs)]
    return best_thresholds(
        np.array([[row[name] for name in data.names] for row in shares]),
        np.array([[name in gold for name in data.names] for gold in data.splits["dev"].gold]),
        data.names,
    )


def _predictions(
    outputs: npt.NDArray[np.float64],
    data: LabelledDataset,
    name: str,
    task: Task,
    thresholds: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Rows of a split from the outputs of its texts, or of its words that have a token."""
    split = data.splits[name]
    if task == "token_classification":
        answers = _tags(_softmax(outputs), split, data.names)
    elif task == "regression":
        answers = [{"value": float(f"{value:.7g}")} for value in outputs[:, 0]]
    elif task == "multilabel_classification":
        answers = [
            {
                "labels": [label for label, value in row.items() if value >= thresholds[label]],
                "probabilities": row,
            }
            for row in (_shares(data.names, row) for row in _sigmoid(outputs))
        ]
    else:
        answers = [
            {"label": data.names[int(row.argmax())], "probabilities": _shares(data.names, row)}
            for row in _softmax(outputs)
        ]
    return [
        {"id": row_id, "split": name, **answer}
        for row_id, answer in zip(split.ids, answers, strict=True)
    ]


def _tags(
    probabilities: npt.NDArray[np.float64], split: Split, names: Sequence[str]
) -> list[dict[str, Any]]:
    """The likeliest tag of each word and its probability; ``None`` where a word has no token."""
    best = iter(zip(probabilities.argmax(1), probabilities.max(1), strict=True))
    answers = []
    for words in split.words or ():
        found = [next(best) if first >= 0 else None for first in words.first]
        answers.append(
            {
                "tags": [None if word is None else names[word[0]] for word in found],
                "probabilities": [None if word is None else _rounded(word[1]) for word in found],
            }
        )
    return answers


def _sigmoid(outputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = (1 + np.tanh(outputs / 2)) / 2  # without overflow
    return shares


def _softmax(outputs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(outputs - outputs.max(1, keepdims=True, initial=-np.inf))
    shares: npt.NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return shares


def _shares(names: Sequence[str], row: npt.NDArray[np.float64]) -> dict[str, float]:
    return {name: _rounded(value) for name, value in zip(names, row, strict=True)}


def _rounded(probability: float) -> float:
    """A probability with as many digits as float32 states are good for."""
    return round(float(probability), 6)
