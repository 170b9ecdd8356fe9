"""Score of one linear probe on the dev rows of a sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from pipeline.probes.fitting import fit_linear
from pipeline.probes.rows import DenseRows
from pipeline.tasks.dataset import LabelledDataset, Split

_START = -1
"""Power of ten of the first penalty; several layers side by side, of few rows, need large ones."""


def probe_score(
    read: Callable[[Split], npt.NDArray[np.float32]], dataset: LabelledDataset
) -> float:
    """The best dev score of a linear probe, over its penalties: higher is better.

    The score is the one that a probe's penalty is chosen by, which is the task's headline metric.

    Args:
        read: (rows, width) float32 of the split ``train`` or ``dev``.
        dataset: labels of the same rows.
    """
    fitted = fit_linear(
        dataset,
        lambda split: DenseRows(torch.from_numpy(read(split))),
        start=_START,
        predicted=("dev",),
    )
    return float(max(fitted.description["dev_scores"].values()))
