"""Regression: one number per text."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pipeline.corpus.texts import Text
from pipeline.tasks.correlation import drawn_correlation, drawn_ranks, is_constant, standardised
from pipeline.tasks.label_type import (
    Array,
    Baseline,
    Comparison,
    Floats,
    Gold,
    LabelType,
    Pair,
    Row,
    Rows,
    column,
)
from pipeline.tasks.resampling import ResampledMetrics, finite
from pipeline.tasks.words import Words

if TYPE_CHECKING:
    from torch import Tensor


class Regression(LabelType):
    """One number per text, learnt with mean 0 and deviation 1."""

    name = "regression"
    task = "regression"
    column_kind = "number"
    metrics: ClassVar[tuple[str, ...]] = ("spearman", "pearson", "rmse")
    probe_metric = "spearman"
    control_metric = "spearman"
    link = "identity"
    requirement = "finite value"

    @override
    def learnt(self, label: Any) -> Sequence[str]:
        return ()

    @override
    def outputs(self, names: Sequence[str]) -> int:
        return 1

    @override
    def target(self, label: Any, names: Sequence[str], words: Words | None) -> Array:
        """(1, 1) float32."""
        return np.array([[label]], np.float32)

    @override
    def target_dtype(self, names: Sequence[str]) -> npt.DTypeLike:
        return np.float32

    @override
    def centre_and_scale(self, values: Sequence[Any]) -> tuple[float, float]:
        numbers = np.array(values, np.float64)
        return float(numbers.mean()), float(numbers.std())

    @override
    def linear_targets(self, gold: Gold, targets: Array, names: Sequence[str]) -> Floats:
        """(rows, 1) float64, of the labels themselves: targets have fewer digits."""
        return np.array(gold, np.float64)[:, None]

    @override
    def loss(
        self, logits: Tensor, targets: Tensor, *, weights: Tensor | None, scale: Tensor | None
    ) -> Tensor:
        """() squared error in deviations of the training targets."""
        errors = logits - targets
        if scale is not None:
            errors = errors / scale
        return errors.square().sum()

    @override
    def loss_weight(self, targets: Array, weights: Tensor | None) -> float:
        """Texts."""
        return len(targets)

    @override
    def probabilities(self, logits: Floats) -> Floats:
        """Numbers as they are."""
        return logits

    @override
    def answer(
        self,
        names: Sequence[str],
        values: Floats,
        best: npt.NDArray[np.int64],
        *,
        words: Words | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> Row:
        """``value``, with the seven digits that float32 has."""
        return {"value": float(f"{float(values[0, 0]):.7g}")}

    @override
    def is_complete(self, row: Mapping[str, Any], gold: Any) -> bool:
        value = row.get("value")
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return abs(value) <= sys.float_info.max  # whole numbers may be beyond it

    @override
    def resampled(self, gold: Gold, rows: Rows) -> ResampledMetrics:
        """Spearman's and Pearson's correlation, and the root of the mean squared error.

        A correlation is undefined where gold or predictions are constant; of ranks, equal values
        share their mean rank.
        """
        truth, guess = np.array(gold, np.float64), np.array(column(rows, "value"), np.float64)
        with np.errstate(all="ignore"):
            squares = (guess - truth) ** 2
        ranks = drawn_ranks(truth), drawn_ranks(guess)
        values = standardised(truth)[:, None], standardised(guess)[:, None]

        def rmse(weights: Floats) -> Floats:
            with np.errstate(all="ignore"):  # beyond the range of floats it is undefined
                root: Floats = np.sqrt(squares @ weights / weights.sum(0))
            return root

        return ResampledMetrics(
            len(gold),
            {
                "spearman": lambda weights: drawn_correlation(
                    weights, *(standing(weights) for standing in ranks)
                ),
                "pearson": lambda weights: drawn_correlation(weights, *values),
                "rmse": rmse,
            },
        )

    @override
    def details(self, gold: Gold, rows: Rows) -> dict[str, Any]:
        """Mean absolute error, and R²: negative for predictions that are worse than the mean."""
        truth, guess = np.array(gold, np.float64), np.array(column(rows, "value"), np.float64)
        with np.errstate(all="ignore"):
            error = guess - truth
            spread = np.sum((truth - truth.mean()) ** 2)
            explained = 1 - np.sum(error**2) / spread
            return {
                "mae": finite(np.mean(np.abs(error))),
                "r2": None if is_constant(truth) else finite(explained),
            }

    @override
    def baseline(self, texts: Sequence[Text], values: Sequence[Any]) -> Baseline:
        """Mean, which has the smallest squared error of all constants."""
        row: Row = {"value": sum(value / len(values) for value in values)}
        return Baseline("mean", lambda _: row)

    @override
    def pairs(self, gold: Gold, rows: Rows) -> list[Pair]:
        """A pair per text."""
        return list(zip(gold, column(rows, "value"), strict=True))

    @override
    def compare(self, gold: Any, row: Mapping[str, Any]) -> Comparison:
        value = row["value"]
        error = value - gold
        # Two floats may be further apart than any float is.
        known = error if math.isfinite(error) else None
        mistake = {"gold": gold, "predicted": value, "error": known}
        return Comparison(not error, abs(error), (f"{gold:.4g}",), (f"{value:.4g}",), mistake)
