"""Single label: one class per text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pipeline.corpus.texts import Text
from pipeline.tasks.calibration import Calibration, CalibrationBin, calibration
from pipeline.tasks.label_type import (
    IGNORE,
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
    most_frequent,
)
from pipeline.tasks.precision_recall import scores_by_name
from pipeline.tasks.resampling import ResampledMetrics, count_names
from pipeline.tasks.words import Words


class SingleLabel(LabelType):
    """One class per text."""

    name = "single_label"
    task = "sequence_classification"
    column_kind = "class"
    metrics: ClassVar[tuple[str, ...]] = ("macro_f1", "accuracy")
    probe_metric = "macro_f1"
    control_metric = "accuracy"
    confusion_counts = "texts"
    requirement = "label with its probability"

    @override
    def learnt(self, label: Any) -> Sequence[str]:
        return (label,)

    @override
    def target(self, label: Any, names: Sequence[str], words: Words | None) -> Array:
        """(1,) int64: index of the class, ``IGNORE`` if training never saw it."""
        return np.array([names.index(label) if label in names else IGNORE], np.int64)

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
        """``label``, and ``probabilities`` by label."""
        return {"label": names[int(best[0])], "probabilities": by_name(names, values[0])}

    @override
    def is_complete(self, row: Mapping[str, Any], gold: Any) -> bool:
        label, probabilities = row.get("label"), row.get("probabilities")
        return (
            isinstance(label, str) and are_probabilities(probabilities) and label in probabilities
        )

    @override
    def resampled(self, gold: Gold, rows: Rows) -> ResampledMetrics:
        """Accuracy, and macro F1 over the classes that occur in gold or predictions."""
        counts = count_names([[name] for name in gold], [[row["label"]] for row in rows])
        measures = {"accuracy": counts.recall, "macro_f1": counts.macro_f1}
        return ResampledMetrics(len(gold), measures)

    @override
    def details(self, gold: Gold, rows: Rows) -> dict[str, Any]:
        """Calibration, and precision, recall and F1 per class."""
        found = self._calibration(gold, rows)
        per_class = scores_by_name(gold, column(rows, "label"))
        return {
            "calibration_error": found.calibration_error,
            "brier": found.brier,
            "per_class": {name: asdict(row) for name, row in per_class.items()},
        }

    @override
    def calibration_bins(self, gold: Gold, rows: Rows) -> list[CalibrationBin]:
        return self._calibration(gold, rows).bins

    def _calibration(self, gold: Gold, rows: Rows) -> Calibration:
        return calibration(gold, column(rows, "label"), column(rows, "probabilities"))

    @override
    def baseline(self, texts: Sequence[Text], values: Sequence[Any]) -> Baseline:
        """Most frequent class."""
        row: Row = {"label": most_frequent(Counter(values))}
        return Baseline("majority class", lambda _: row)

    @override
    def pairs(self, gold: Gold, rows: Rows) -> list[Pair]:
        """A pair per text."""
        return list(zip(gold, column(rows, "label"), strict=True))

    @override
    def compare(self, gold: Any, row: Mapping[str, Any]) -> Comparison:
        predicted = row["label"]
        confidence = row["probabilities"][predicted]
        mistake = {"gold": gold, "predicted": predicted, "confidence": confidence}
        return Comparison(predicted == gold, confidence, (gold,), (predicted,), mistake)
