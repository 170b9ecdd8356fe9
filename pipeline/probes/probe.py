"""The linear probe: what a linear model makes of the states that a head reads.

A head's score says little by itself: much of it may be BERT's. The probe learns the same labels
from the same layers without a recurrent network (Alain and Bengio 2016, "Understanding intermediate
layers using linear classifier probes"): logistic regression on the mean of a text's states, or on
the state of a word's first token, and ridge regression for numbers.
"""

from __future__ import annotations

from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.layers import kept_layers
from pipeline.features.reader import Features
from pipeline.probes.fitted import FittedRival, together
from pipeline.probes.fitting import TOLERANCE, fit_linear
from pipeline.probes.settings import ProbeSettings
from pipeline.probes.states import vectors_of
from pipeline.tasks.dataset import build_dataset
from pipeline.tasks.registry import label_type_for

NAME = "linear probe"

START = -2
"""Power of ten of the first penalty that is tried, of features of deviation 1."""


def fit_probe(
    settings: ProbeSettings,
    labels: Labels,
    features: Features,
    *,
    hash_cache: HashCache,
    tolerance: float = TOLERANCE,
) -> FittedRival:
    """Fits the linear probe of a head.

    Args:
        settings: what it shares with the head.
        labels: the label column.
        features: of the same texts.
        hash_cache: cached checksums of the files to read.
        tolerance: see ``LinearFit.fit``.

    Raises:
        StoreError: a layer is not kept, or the features are damaged or of other texts.
        DataError, TrainingError: see ``by_fold`` and ``build_dataset``; or no training word has a
            token.
    """
    layers = kept_layers(settings.layers, features)
    features.check(layers, hash_cache)
    label_type = label_type_for(settings.task, labels.kind)
    fits = {
        fold: fit_linear(
            build_dataset(seen, features, label_type),
            lambda split: vectors_of(features, layers, split),
            start=START,
            tolerance=tolerance,
        )
        for fold, seen in by_fold(labels).items()
    }
    about = {
        "name": NAME,
        "task": settings.task,
        "layers": layers,
        "texts_sha256": labels.texts_sha256,
        "recipe": features.manifest.recipe,
    }
    return together(fits, about)
