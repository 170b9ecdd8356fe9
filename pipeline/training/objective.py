"""What a training step minimises, for each task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.heads.model import Head
from pipeline.heads.word_layout import WordLayout
from pipeline.tasks.targets import IGNORE


def loss_of(
    head: Head,
    logits: Tensor,
    targets: Tensor,
    words: WordLayout | None,
    weights: Tensor | None = None,
) -> tuple[Tensor, float]:
    """The loss of a batch as a sum, and what to divide it by for the mean.

    Cross-entropy for one class or tag, binary cross-entropy for several classes, squared error in
    deviations of the training targets for numbers, and the negative log-likelihood of whole
    sequences for a CRF. Labels that training never saw count nothing.

    Args:
        head: whose logits they are.
        logits: as it gives them.
        targets: (batch,) or (words,) int64, or (batch, labels) or (batch, 1) float32.
        words: where words stand, for a task on words.
        weights: (labels,) from ``class_weights``.
    """
    task = head.settings.task
    if task == "regression":
        errors = (logits - targets) / head.target_scale
        return errors.square().sum(), len(targets)
    if task == "multilabel_classification":
        loss = F.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights, reduction="sum"
        )
        return loss, targets.numel()
    known = targets != IGNORE
    if head.crf is not None and words is not None:
        lengths = [length for length in words.lengths if length]
        if not lengths:
            return logits.sum() * 0, 0
        return -head.crf.log_likelihood(logits, targets, lengths).sum(), int(known.sum())
    loss = F.cross_entropy(logits, targets, weight=weights, ignore_index=IGNORE, reduction="sum")
    if weights is None:
        return loss, int(known.sum())
    return loss, float(weights[targets[known]].sum())


def class_weights(head: Head, targets: Sequence[npt.NDArray[np.generic]]) -> Tensor:
    """(labels,): weights that make all labels count alike.

    For one label each, ``n / (labels * occurrences)``, as scikit-learn's ``balanced``; for several,
    how many texts lack a label for each that has it, or 1 where none does: with 0, nothing would
    be learnt of that label. For one label each, one that never occurs weighs nothing.

    Args:
        head: whose labels they are.
        targets: of the training split, as ``pipeline.tasks.targets`` gives them.
    """
    labels = len(head.names)
    if head.settings.task == "multilabel_classification":
        having = np.concatenate(targets).sum(0)
        weights = np.maximum(len(targets) - having, 1) / np.maximum(having, 1)
    else:
        counts = np.bincount(np.concatenate(targets), minlength=labels)
        weights = np.where(counts > 0, counts.sum() / (labels * np.maximum(counts, 1)), 0)
    return torch.from_numpy(weights.astype(np.float32))
