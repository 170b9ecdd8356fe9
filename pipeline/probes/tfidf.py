"""TF-IDF and a linear model: what the words of a text say without an encoder.

Texts as counts of their words and pairs of neighbouring words, each damped by its logarithm and
weighted by how rare it is (Salton and Buckley 1988, "Term-weighting approaches in automatic text
retrieval"), and logistic or ridge regression on them. Long texts about a topic it often reads as
well as BERT does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.corpus.folds import Fold, by_fold
from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text, TextPair, parts
from pipeline.features.reader import Features
from pipeline.probes.fitted import FittedRival, together
from pipeline.probes.fitting import fit_linear
from pipeline.probes.rows import Rows, SparseRows
from pipeline.probes.settings import ProbeSettings
from pipeline.tasks.dataset import LabelledDataset, Split, build_dataset
from pipeline.tasks.registry import label_type_for

logger = logging.getLogger(__name__)

START = -3
"""Power of ten of the first penalty that is tried, of rows of length 1."""

MOST_TERMS = 50_000
"""Terms, the most frequent ones of training."""

FEWEST_TEXTS = 2
"""Training texts that a term must be in."""


def fit_tfidf(
    settings: ProbeSettings, labels: Labels, features: Features, texts: Sequence[Text]
) -> FittedRival | None:
    """Fits TF-IDF and a linear model for a head that reads texts.

    Args:
        settings: what it shares with the head.
        labels: the label column, of texts.
        features: of the same texts, for their splits alone.
        texts: inputs in the order of the labels.

    Returns:
        The rival; ``None`` where no two training texts share a term.

    Raises:
        StoreError, DataError, TrainingError: see ``by_fold`` and ``build_dataset``.
    """
    label_type = label_type_for(settings.task, labels.kind)
    inputs = dict(zip(labels.ids, texts, strict=True))
    fits: dict[Fold, FittedRival] = {}
    for fold, seen in by_fold(labels).items():
        dataset = build_dataset(seen, features, label_type)
        terms = Terms.of([inputs[row_id] for row_id in dataset.splits["train"].ids])
        if terms is None:
            logger.info("no two training texts share a word: there is nothing for TF-IDF to learn")
            return None
        fits[fold] = _fit(dataset, inputs, terms)
    regression = "ridge" if label_type.link == "identity" else "logistic"
    about = {
        "name": f"TF-IDF and {regression} regression",
        "task": settings.task,
        "texts_sha256": labels.texts_sha256,
    }
    return together(fits, about)


def _fit(dataset: LabelledDataset, inputs: Mapping[str, Text], terms: Terms) -> FittedRival:
    def describe(split: Split) -> Rows:
        return terms.rows([inputs[row_id] for row_id in split.ids])

    return fit_linear(dataset, describe, start=START)


class Terms:
    """The terms of some texts, and how much each weighs.

    Args:
        vectorizer: scikit-learn's, fitted.
    """

    def __init__(self, vectorizer: Any) -> None:
        self._vectorizer = vectorizer

    @classmethod
    def of(cls, texts: Sequence[Text]) -> Terms | None:
        """Those of training texts; ``None`` where there are none."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

        vectorizer = TfidfVectorizer(
            sublinear_tf=True,
            ngram_range=(1, 2),
            min_df=FEWEST_TEXTS,
            max_features=MOST_TERMS,
            dtype=np.float32,
        )
        try:
            vectorizer.fit([string for text in texts for string in _strings(text)])
        except ValueError:  # there is no term, or none in so many texts
            return None
        return cls(vectorizer)

    def rows(self, texts: Sequence[Text]) -> SparseRows:
        """(texts, terms) float32; of pairs, four times as many columns.

        These are those of both texts, their absolute difference, and their product.
        """
        import scipy.sparse

        sides = zip(*map(_strings, texts), strict=True)
        found = [self._vectorizer.transform(side) for side in sides]
        if len(found) == 2:
            first, second = found
            found += [abs(first - second), first.multiply(second)]
        return SparseRows(scipy.sparse.csr_matrix(scipy.sparse.hstack(found)))


def _strings(text: Text) -> tuple[str, ...]:
    """A text as one string, words with spaces between them; a pair as two."""
    return parts(text) if isinstance(text, TextPair) else (" ".join(parts(text)),)
