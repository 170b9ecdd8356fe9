"""Multi-label: any number of classes per text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pipeline.corpus.texts import Text
from pipeline.tasks.label_type import (
    NONE,
    Array,
    Baseline,
    Comparison,
    Floats,
    Gold,
    LabelType,
    Pair,
    Row,
    Rows,
    are_probabilities,
    by_name,
    column,
    rounded,
)
from pipeline.tasks.precision_recall import Scores, scores
from pipeline.tasks.ranking import (
    average_precision,
    indicators,
    mean_average_precision,
    names_of,
    probability_table,
)
from pipeline.tasks.resampling import CountTable, ResampledMetrics
from pipeline.tasks.words import Words

if TYPE_CHECKING:
    from torch import Tensor

HALF = 0.5
"""Threshold of a label where no other was found."""


class MultiLabel(LabelType):
    """Any number of classes per text, each decided by itself."""

    name = "multi_label"
    task = "multilabel_classification"
    column_kind = "classes"
    metrics: ClassVar[tuple[str, ...]] = ("macro_f1", "micro_f1", "mean_average_precision")
    probe_metric = "micro_f1"
    control_metric = "micro_f1"
    link = "sigmoid"
    confusion_counts = "labels"
    requirement = "labels with their probabilities"

    @override
    def learnt(self, label: Any) -> Sequence[str]:
        return label  # type: ignore[no-any-return]

    @override
    def target(self, label: Any, names: Sequence[str], words: Words | None) -> Array:
        """(1, labels) float32: 1 for each class that the text has, 0 for the others."""
        return np.array([[name in label for name in names]], np.float32)

    @override
    def target_dtype(self, names: Sequence[str]) -> npt.DTypeLike:
        return np.float32

    @override
    def linear_targets(self, gold: Gold, targets: Array, names: Sequence[str]) -> Floats:
        return targets.astype(np.float64)

    @override
    def loss(
        self, logits: Tensor, targets: Tensor, *, weights: Tensor | None, scale: Tensor | None
    ) -> Tensor:
        """() binary cross-entropy of every pair of a text and a label."""
        from torch.nn import functional as F

        return F.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights, reduction="sum"
        )

    @override
    def loss_weight(self, targets: Array, weights: Tensor | None) -> float:
        """Pairs of a text and a label."""
        return targets.size

    @override
    def class_weights(
        self, targets: Sequence[Array], names: Sequence[str]
    ) -> npt.NDArray[np.float32]:
        """(labels,) how many texts lack a label for each that has it.

        At least one: with 0, nothing would be learnt of a label that all texts have.
        """
        having = np.concatenate(targets).sum(0)
        weights = np.maximum(len(targets) - having, 1) / np.maximum(having, 1)
        return weights.astype(np.float32)  # type: ignore[no-any-return]

    @override
    def probabilities(self, logits: Floats) -> Floats:
        """The sigmoid, without overflow."""
        return np.asarray(np.exp(-np.logaddexp(0, -logits)))

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
        """``labels`` that reach their threshold, sorted, and ``probabilities`` by label."""
        probabilities, limits = by_name(names, values[0]), thresholds or {}
        chosen = [name for name, value in probabilities.items() if value >= limits.get(name, HALF)]
        return {"labels": chosen, "probabilities": probabilities}

    @override
    def thresholds(self, gold: Gold, rows: Rows, names: Sequence[str]) -> dict[str, float]:
        """For each label the threshold with the highest F1; of equals, the lowest.

        A label that no text has keeps 0.5.
        """
        probabilities = probability_table(column(rows, "probabilities"), names)
        known = [[name for name in labels if name in set(names)] for labels in gold]
        having = indicators(known, names)
        return {
            name: _best_threshold(probabilities[:, place], having[:, place])
            for place, name in enumerate(names)
        }

    @override
    def is_complete(self, row: Mapping[str, Any], gold: Any) -> bool:
        labels, probabilities = row.get("labels"), row.get("probabilities")
        if not isinstance(labels, list | tuple) or not are_probabilities(probabilities):
            return False
        known = all(isinstance(label, str) and label in probabilities for label in labels)
        return known and len(set(labels)) == len(labels)

    @override
    def resampled(self, gold: Gold, rows: Rows) -> ResampledMetrics:
        """Micro and macro F1, and mean average precision over the labels that gold has."""
        predicted, probabilities = column(rows, "labels"), column(rows, "probabilities")
        names = names_of(gold, predicted, probabilities)
        truth, found = indicators(gold, names), indicators(predicted, names)
        tables = (table.astype(np.float64) for table in (truth & found, found, truth))
        counts = CountTable(*tables)
        ranking = mean_average_precision(counts.support, probability_table(probabilities, names))
        return ResampledMetrics(
            len(gold),
            {
                "micro_f1": counts.micro_f1,
                "macro_f1": counts.macro_f1,
                "mean_average_precision": ranking,
            },
        )

    @override
    def details(self, gold: Gold, rows: Rows) -> dict[str, Any]:
        """Micro precision and recall, subset accuracy, and scores per label.

        ``micro_average_precision`` ranks all pairs of a text and a label together, and is ``None``
        where gold has no label.
        """
        predicted, probabilities = column(rows, "labels"), column(rows, "probabilities")
        names = names_of(gold, predicted, probabilities)
        truth, found = indicators(gold, names), indicators(predicted, names)
        ranking = probability_table(probabilities, names)
        micro = _scores(truth, found)
        return {
            "micro_precision": micro.precision,
            "micro_recall": micro.recall,
            "micro_average_precision": average_precision(truth.ravel(), ranking.ravel()),
            "subset_accuracy": float((truth == found).all(1).mean()),
            "per_label": {
                name: {
                    **asdict(_scores(truth[:, place], found[:, place])),
                    "average_precision": average_precision(truth[:, place], ranking[:, place]),
                }
                for place, name in enumerate(names)
                if truth[:, place].any() or found[:, place].any()
            },
        }

    @override
    def baseline(self, texts: Sequence[Text], values: Sequence[Any]) -> Baseline:
        """Labels that more than half of the texts have, and the share of texts that have each."""
        counts = Counter(name for labels in values for name in labels)
        shares = {name: counts[name] / len(values) for name in sorted(counts)}
        labels = [name for name, share in shares.items() if share > HALF]
        row: Row = {"labels": labels, "probabilities": shares}
        return Baseline("majority per label", lambda _: row)

    @override
    def pairs(self, gold: Gold, rows: Rows) -> list[Pair]:
        """A pair per label that a text has or was given."""
        pairs: list[Pair] = []
        for labels, row in zip(gold, rows, strict=True):
            truth, found = set(labels), set(row["labels"])
            pairs += [
                (name if name in truth else NONE, name if name in found else NONE)
                for name in sorted(truth | found)
            ]
        return pairs

    @override
    def compare(self, gold: Any, row: Mapping[str, Any]) -> Comparison:
        predicted, probabilities = set(row["labels"]), row["probabilities"]
        # A label that the head does not know has no probability: it is sure to be missed.
        confidence = {
            name: probabilities[name]
            if name in predicted
            else rounded(1 - probabilities.get(name, 0.0))
            for name in sorted({*probabilities, *gold})
        }
        wrong = {name: confidence[name] for name in sorted(predicted ^ set(gold))}
        return Comparison(
            correct=not wrong,
            confidence=max(wrong.values()) if wrong else min(confidence.values(), default=None),
            gold=tuple(gold),
            predicted=tuple(row["labels"]),
            mistake={"gold": gold, "predicted": row["labels"], "confidence": wrong},
        )


def _scores(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> Scores:
    return scores(int((truth & found).sum()), int(found.sum()), int(truth.sum()))


def _best_threshold(probabilities: Floats, having: npt.NDArray[np.bool_]) -> float:
    if not having.any():
        return HALF
    order = np.argsort(-probabilities, kind="stable")
    ordered = probabilities[order]
    tp = np.cumsum(having[order])
    f1 = 2 * tp / (np.arange(1, len(order) + 1) + having.sum())
    # A threshold lets all equals in, so only the last of them can be one.
    f1[:-1][ordered[:-1] == ordered[1:]] = -1
    best = len(f1) - 1 - int(f1[::-1].argmax())
    return float(ordered[best])
