"""The cosine of two texts: what an encoder says of a pair before anything is learnt of it.

Where texts that mean the same stand near each other, how near they are is most of an answer
(Reimers and Gurevych 2019, "Sentence-BERT"). The one number is read from the mean states of both
texts at the highest layer that a head reads; logistic or ridge regression on it says only where it
divides.
"""

from __future__ import annotations

from torch.nn import functional as F

from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.layers import kept_layers
from pipeline.features.reader import Features
from pipeline.probes.fitted import FittedRival, together
from pipeline.probes.fitting import fit_linear
from pipeline.probes.rows import DenseRows, Rows
from pipeline.probes.settings import ProbeSettings
from pipeline.probes.states import TextVectors
from pipeline.tasks.dataset import Split, build_dataset
from pipeline.tasks.registry import label_type_for

NAME = "cosine of the two texts"

START = -4
"""Power of ten of the first penalty that is tried: one number needs hardly any."""


def fit_cosine(
    settings: ProbeSettings, labels: Labels, features: Features, *, hash_cache: HashCache
) -> FittedRival:
    """Fits where the cosine of pairs divides.

    Args:
        settings: what it shares with the head.
        labels: the label column, of pairs.
        features: of the same pairs, apart.
        hash_cache: cached checksums of the files to read.

    Raises:
        StoreError, DataError, TrainingError: see ``fit_probe``.
    """
    layer = max(kept_layers(settings.layers, features))
    features.check([layer], hash_cache)
    label_type = label_type_for(settings.task, labels.kind)

    def describe(split: Split) -> Rows:
        texts = TextVectors(features, [layer], split.rows.ravel())
        means = texts.read(slice(0, texts.count)).values
        return DenseRows(F.cosine_similarity(means[::2], means[1::2], dim=1)[:, None])

    fits = {
        fold: fit_linear(build_dataset(seen, features, label_type), describe, start=START)
        for fold, seen in by_fold(labels).items()
    }
    about = {
        "name": NAME,
        "task": settings.task,
        "layers": [layer],
        "texts_sha256": labels.texts_sha256,
        "recipe": features.manifest.recipe,
    }
    return together(fits, about)
