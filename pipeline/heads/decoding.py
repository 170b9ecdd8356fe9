"""What a head gives, in the words of its labels: the rows of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.corpus.schemes import bioes_to_bio
from pipeline.heads.scoring import Outputs
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.words import Words

HALF = 0.5
"""Probability from which on a text has a label, where no other threshold was found."""


def answer(
    settings: HeadSettings,
    names: list[str],
    outputs: Outputs,
    *,
    words: Words | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """One prediction, ready for JSON.

    Args:
        settings: the head's.
        names: its labels.
        outputs: what it gave for the text.
        words: the text's words, for token classification.
        thresholds: for several labels per text, the probability from which on it has each.

    Returns:
        ``label`` and ``probabilities`` by label; ``labels``, sorted, and ``probabilities``;
        ``value``; or ``tags`` and ``probabilities`` per word, ``None`` for a word without a token.
        Tags of entities are in BIO.
    """
    if settings.task == "regression":
        return {"value": _seven_digits(outputs.values[0, 0])}
    if words is not None:
        return _tags(settings, names, outputs, words)
    probabilities = {
        name: rounded(value) for name, value in zip(names, outputs.values[0], strict=True)
    }
    if settings.task == "sequence_classification":
        return {"label": names[int(outputs.best[0])], "probabilities": probabilities}
    limits = thresholds or {}
    chosen = [name for name, value in probabilities.items() if value >= limits.get(name, HALF)]
    return {"labels": chosen, "probabilities": probabilities}


def rounded(probability: np.float64) -> float:
    """A probability with as many digits as float32 is sure of."""
    return round(float(probability), 6)


def _seven_digits(value: np.float64) -> float:
    return float(f"{float(value):.7g}")


def _tags(
    settings: HeadSettings, names: list[str], outputs: Outputs, words: Words
) -> dict[str, Any]:
    best: list[str] = [names[index] for index in outputs.best]
    if settings.scheme == "bioes":
        best = list(bioes_to_bio(best))
    given = iter(zip(best, map(rounded, outputs.values[:, 0]), strict=True))
    pairs = [next(given) if present else (None, None) for present in words.with_token]
    return {"tags": [tag for tag, _ in pairs], "probabilities": [value for _, value in pairs]}
