"""Calibration: how far the probabilities of a classifier are from frequencies.

The confidence of a text is the probability of the class that was predicted for it. Texts are sorted
by confidence into bins of equal mass: test splits are small and most confidences lie near 1, so
that bins of equal width would mostly be empty, and of the two, equal mass is the less biased
(Nguyen and O'Connor 2015, "Posterior calibration and exploratory analysis for natural language
processing models"; Roelofs et al. 2022, "Mitigating bias in calibration error estimation").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10
"""Bins at most: equal confidences share one, so that a bin may have more than its mass, or none."""


@dataclass(frozen=True)
class CalibrationBin:
    """Texts of similar confidence.

    Attributes:
        confidence: their mean confidence.
        accuracy: share of them that is right; equal to ``confidence`` if well calibrated.
        texts: how many they are.
    """

    confidence: float
    accuracy: float
    texts: int


@dataclass(frozen=True)
class Calibration:
    """Calibration error, Brier score and bins.

    Attributes:
        calibration_error: expected calibration error: mean over texts of the difference between
            accuracy and confidence of their bin (Guo et al. 2017, section 2, with equal mass).
        brier: mean squared difference between the probabilities of all classes and what is true,
            from 0 to 2 (Brier 1950).
        bins: by rising confidence, the empty ones left out.
    """

    calibration_error: float
    brier: float
    bins: list[CalibrationBin]


def calibration(
    gold: Sequence[str],
    predicted: Sequence[str],
    probabilities: Sequence[Mapping[str, float]],
    *,
    bins: int = BINS,
) -> Calibration:
    """Calibration of one predicted class per text.

    Args:
        gold: class of each text; one that has no probability counts as of probability 0.
        predicted: class predicted for each.
        probabilities: by class.
        bins: as many at most.

    Raises:
        ValueError: the three are not equally long, or empty.
    """
    if not len(gold) == len(predicted) == len(probabilities) or not gold:
        raise ValueError(
            f"{len(gold)} gold labels for {len(predicted)} predictions "
            f"and {len(probabilities)} rows of probabilities"
        )
    confidence = np.array([row[name] for row, name in zip(probabilities, predicted, strict=True)])
    right = np.array([a == b for a, b in zip(gold, predicted, strict=True)])
    # The place of the first of its equals: the bins do not depend on the order of texts.
    place = np.searchsorted(np.sort(confidence), confidence, side="left")
    number = place * bins // len(gold)
    found = [
        CalibrationBin(
            float(confidence[members].mean()), float(right[members].mean()), int(members.sum())
        )
        for members in (number == value for value in np.unique(number))
    ]
    return Calibration(
        calibration_error=sum(row.texts * abs(row.accuracy - row.confidence) for row in found)
        / len(gold),
        brier=float(
            np.mean([_squares(row, name) for row, name in zip(probabilities, gold, strict=True)])
        ),
        bins=found,
    )


def _squares(probabilities: Mapping[str, float], gold: str) -> float:
    """Squared differences of all classes from the truth, which is 1 for gold and 0 for others."""
    sure = probabilities.get(gold, 0.0)
    return sum(value**2 for value in probabilities.values()) - sure**2 + (1 - sure) ** 2
