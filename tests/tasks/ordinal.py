"""Ordinal regression as a user would add it: one module, which the registry names.

Numbers that have an order and no distances, as stars: a binary question per step, whether the
number is higher (Frank and Hall 2001, "A simple approach to ordinal classification").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from pipeline.tasks.label_type import Array, Floats, Gold, Row
from pipeline.tasks.regression import Regression
from pipeline.tasks.words import Words


class OrdinalRegression(Regression):
    """A number per text, out of those of training."""

    name = "ordinal"
    task = "ordinal_regression"
    link = "sigmoid"

    @override
    def label_names(self, values: Iterable[Any]) -> list[str]:
        return [str(value) for value in sorted(set(values))]

    @override
    def outputs(self, names: Sequence[str]) -> int:
        return len(names) - 1

    @override
    def target(self, label: Any, names: Sequence[str], words: Words | None) -> Array:
        return np.array([[label > float(name) for name in names[:-1]]], np.float32)

    @override
    def centre_and_scale(self, values: Sequence[Any]) -> None:
        return None

    @override
    def linear_targets(self, gold: Gold, targets: Array, names: Sequence[str]) -> Floats:
        return targets.astype(np.float64)

    @override
    def loss(
        self, logits: Tensor, targets: Tensor, *, weights: Tensor | None, scale: Tensor | None
    ) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")

    @override
    def loss_weight(self, targets: Array, weights: Tensor | None) -> float:
        return targets.size

    @override
    def probabilities(self, logits: Floats) -> Floats:
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))

    @override
    def answer(
        self,
        names: Sequence[str],
        values: Floats,
        best: Any,
        *,
        words: Words | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> Row:
        return {"value": float(names[int((values[0] > 0.5).sum())])}
