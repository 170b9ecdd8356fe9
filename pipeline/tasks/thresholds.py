"""From which probability on a text has a label, where it may have several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def best_thresholds(
    probabilities: npt.NDArray[np.float64], gold: npt.NDArray[np.bool_], names: Sequence[str]
) -> dict[str, float]:
    """For each label the threshold with the highest F1; of equals, the lowest.

    A label that no text has keeps 0.5.

    Args:
        probabilities: (texts, labels).
        gold: (texts, labels), whether each text has each label.
        names: of the labels.
    """
    return {
        name: _best(probabilities[:, column], gold[:, column]) for column, name in enumerate(names)
    }


def _best(probabilities: npt.NDArray[np.float64], gold: npt.NDArray[np.bool_]) -> float:
    if not gold.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    ordered = probabilities[order]
    right = np.cumsum(gold[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + gold.sum())
    # A threshold lets all equals in, so only the last of them can be one.
    f1[:-1][ordered[:-1] == ordered[1:]] = -1
    best = len(f1) - 1 - int(f1[::-1].argmax())
    return float(ordered[best])
