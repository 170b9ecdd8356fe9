"""Label types: everything that depends on what a label is, behind one interface.

A label type is one module with one subclass of ``LabelType``, and one line of
``pipeline/tasks/registry.py``. Training, probes, evaluation, prediction and the report ask it and
know no label type by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from pipeline.corpus.texts import Text
from pipeline.tasks.calibration import CalibrationBin
from pipeline.tasks.resampling import LOWER_IS_BETTER, ResampledMetrics
from pipeline.tasks.words import Words

if TYPE_CHECKING:
    from torch import Tensor

IGNORE = -100
"""Target of a label that training never saw; torch's default ``ignore_index``."""

NONE = "(none)"
"""Placeholder in pairs for a label that was missed, or given without being there."""

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Link: TypeAlias = Literal["softmax", "sigmoid", "identity"]
Pair: TypeAlias = tuple[str | float, str | float]
Gold: TypeAlias = Sequence[Any]
Row: TypeAlias = dict[str, Any]
"""A prediction, ready for JSON, without id and split."""
Rows: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Baseline:
    """Predictor that knows the labels of the training rows, and words at the most.

    Attributes:
        name: in words.
        predict: the prediction of a text.
    """

    name: str
    predict: Callable[[Text], Row]


@dataclass(frozen=True)
class Comparison:
    """Prediction beside the label of one example.

    Attributes:
        correct: whether they are the same.
        confidence: of a wrong prediction, the probability of its surest wrong part; of a correct
            one, of its least sure part; of numbers, the absolute error.
        gold: the label in words, for people.
        predicted: the prediction in words.
        mistake: fields that describe a wrong prediction, ready for JSON.
    """

    correct: bool
    confidence: float | None
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    mistake: dict[str, Any]


class LabelType(ABC):
    """Interface of a label type: how labels are learnt, predicted, scored and shown.

    The defaults are those of one out of several labels: softmax, cross-entropy, integer targets.

    Attributes:
        name: of the label type, as ``head.json`` has it.
        task: the task of ``params.yaml`` that learns it.
        column_kind: the kind of prepared label column that it is read from.
        metrics: dev metrics that a head can be chosen by; the first is the default.
        probe_metric: dev metric that a linear probe's penalty is chosen by.
        control_metric: metric that selectivity is a difference of (accuracy, as in Hewitt and Liang
            2019, where there is one).
        link: from the outputs of a linear model to predictions.
        on_words: whether every word has a label, instead of each text.
        confusion_counts: what a confusion matrix of it counts; ``None`` where labels are numbers.
        scheme: tagging scheme that a head learns; ``None`` where labels are no entities.
    """

    name: ClassVar[str]
    task: ClassVar[str]
    column_kind: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    probe_metric: ClassVar[str]
    control_metric: ClassVar[str]
    link: ClassVar[Link] = "softmax"
    on_words: ClassVar[bool] = False
    confusion_counts: ClassVar[str | None] = None
    scheme: str | None = None

    # Targets

    @abstractmethod
    def learnt(self, label: Any) -> Iterable[str]:
        """Names that a head learns of one stored label; none of a number."""

    def label_names(self, values: Iterable[Any]) -> list[str]:
        """Labels that a head tells apart: those of the training split, in alphabetical order."""
        return sorted({name for value in values for name in self.learnt(value)})

    def distinct(self, values: Iterable[Any]) -> set[Any]:
        """Distinct labels of the training split; with fewer than two there is nothing to learn."""
        return set(values)

    def outputs(self, names: Sequence[str]) -> int:
        """Width of a head's last layer."""
        return len(names)

    @abstractmethod
    def target(self, label: Any, names: Sequence[str], words: Words | None) -> Array:
        """(rows, ...) target of one example: a row for its text, or one per word with a token.

        Args:
            label: as stored.
            names: from ``label_names``.
            words: the words of the text, for labels on words.
        """

    def target_dtype(self, names: Sequence[str]) -> npt.DTypeLike:
        """Narrowest dtype of targets, as many are held at once."""
        return np.min_scalar_type(min(IGNORE, -len(names)))

    def centre_and_scale(self, values: Sequence[Any]) -> tuple[float, float] | None:
        """Mean and deviation of numbers, which a network learns standardised; else ``None``."""
        del values
        return None

    def linear_targets(self, gold: Gold, targets: Array, names: Sequence[str]) -> Array:
        """Targets of a linear model: (rows,) the index of each one's class, with a softmax.

        With other links they are (rows, outputs): 0 or 1 for each label, or numbers.

        Args:
            gold: labels of the training split.
            targets: their targets, end to end.
            names: from ``label_names``.
        """
        del gold, names
        return targets

    # Training

    def loss(
        self, logits: Tensor, targets: Tensor, *, weights: Tensor | None, scale: Tensor | None
    ) -> Tensor:
        """() loss of a batch as a sum: cross-entropy.

        Args:
            logits: (rows, outputs) float32.
            targets: as ``target`` gives them, end to end; int64 or float32.
            weights: (labels,) float32 from ``class_weights``.
            scale: deviation of the training targets, for numbers.
        """
        from torch.nn import functional as F

        del scale
        return F.cross_entropy(
            logits, targets, weight=weights, ignore_index=IGNORE, reduction="sum"
        )

    def loss_weight(self, targets: Array, weights: Tensor | None) -> float:
        """What to divide a loss by for the mean: labels that are known, or their weights.

        Args:
            targets: as ``loss`` has them.
            weights: likewise, on the CPU.
        """
        known = targets[targets != IGNORE]
        return len(known) if weights is None else float(weights[known].sum())

    def class_weights(
        self, targets: Sequence[Array], names: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        """(labels,) weights that make all labels count alike, as scikit-learn's ``balanced``.

        That is ``n / (labels * occurrences)``; a label that never occurs weighs nothing.
        """
        counts = np.bincount(np.concatenate(targets), minlength=len(names))
        weights = np.where(counts > 0, counts.sum() / (len(names) * np.maximum(counts, 1)), 0)
        return weights.astype(np.float32)

    # Predictions

    def probabilities(self, logits: Floats) -> Floats:
        """(rows, outputs) float64 from logits: softmax.

        In float64: with their last digits cut off, as predictions are written, they are then the
        same however many texts are scored together.
        """
        powers = np.exp(logits - logits.max(1, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    @abstractmethod
    def answer(
        self,
        names: Sequence[str],
        values: Floats,
        best: npt.NDArray[np.int64],
        *,
        words: Words | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> Row:
        """Prediction of one text.

        Args:
            names: the head's labels.
            values: (1, outputs) probabilities of a text's labels, or numbers; (words with a token,
                1) the probability of each word's label.
            best: (1,) or (words with a token,) the likeliest label.
            words: the text's words, for labels on words.
            thresholds: from ``thresholds``, of the head.
        """

    def thresholds(self, gold: Gold, rows: Rows, names: Sequence[str]) -> dict[str, float] | None:
        """Probability from which on a text has each label, tuned on dev; ``None`` without any."""
        del gold, rows, names
        return None

    requirement: ClassVar[str]
    """What a row of predictions must have, in words."""

    @abstractmethod
    def is_complete(self, row: Mapping[str, Any], gold: Any) -> bool:
        """Whether a row of predictions has what ``requirement`` says."""

    # Scores

    @abstractmethod
    def resampled(self, gold: Gold, rows: Rows) -> ResampledMetrics:
        """Headline metrics, which can be drawn again; a head is judged by the first."""

    @abstractmethod
    def details(self, gold: Gold, rows: Rows) -> dict[str, Any]:
        """Further scores by name; one that starts with ``per_`` is a table by label."""

    def dev_score(self, metric: str, gold: Gold, rows: Rows) -> float:
        """Score that the best epoch and the best seed are chosen by; higher is better.

        Returns:
            The metric; minus the error for errors; 0 where it is not defined, as the correlation of
            numbers that are all the same.
        """
        value = self.resampled(gold, rows).score(metric)
        if value is None:
            return 0.0
        return -value if metric in LOWER_IS_BETTER else value

    def calibration_bins(self, gold: Gold, rows: Rows) -> list[CalibrationBin]:
        """Bins of confidence and accuracy; empty where there is no one probability to compare."""
        del gold, rows
        return []

    @abstractmethod
    def baseline(self, texts: Sequence[Text], values: Sequence[Any]) -> Baseline:
        """Best predictor that reads no text, or texts word by word, from the training split."""

    @abstractmethod
    def pairs(self, gold: Gold, rows: Rows) -> list[Pair]:
        """``(actual, predicted)`` pairs for plots and the confusion matrix."""

    @abstractmethod
    def compare(self, gold: Any, row: Mapping[str, Any]) -> Comparison:
        """Prediction of one example beside its label."""


def is_probability(value: object) -> bool:
    """Whether a value from a file of predictions is a probability."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def are_probabilities(value: object) -> TypeGuard[Mapping[str, float]]:
    """Whether a value from a file of predictions has a probability by name."""
    return isinstance(value, Mapping) and all(map(is_probability, value.values()))


def column(rows: Rows, field: str) -> list[Any]:
    """One field of every row of predictions."""
    return [row[field] for row in rows]


def rounded(probability: float) -> float:
    """Probability with as many digits as float32 is sure of."""
    return round(float(probability), 6)


def by_name(names: Sequence[str], values: Iterable[float]) -> dict[str, float]:
    """Rounded probabilities by label."""
    return {name: rounded(value) for name, value in zip(names, values, strict=True)}


def most_frequent(counts: Counter[str]) -> str:
    """Name with the highest count, the first in alphabetical order among equals."""
    return min(counts, key=lambda name: (-counts[name], name))
