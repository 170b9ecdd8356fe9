"""Score of one linear probe on the dev rows of a sample."""

from __future__ import annotations

from pipeline.probes.fitting import Describe, fit_linear
from pipeline.tasks.dataset import LabelledDataset

_START = -1
"""Power of ten of the first penalty; several layers side by side, of few rows, need large ones."""


def probe_score(describe: Describe, dataset: LabelledDataset) -> float:
    """The best dev score of a linear probe, over its penalties: higher is better.

    The score is the one that a probe's penalty is chosen by, which is the task's headline metric.

    Args:
        describe: rows of the splits ``train`` and ``dev``.
        dataset: labels of the same rows.
    """
    fitted = fit_linear(dataset, describe, start=_START, predicted=("dev",))
    return float(max(fitted.description["dev_scores"].values()))
