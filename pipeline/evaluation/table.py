"""Metrics as lines that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary(metrics: Mapping[str, Any]) -> list[str]:
    """A headline per split with the margin over the baseline, then a table of the test split."""
    lines = []
    for name, scores in metrics.items():
        baseline = scores["baseline"]
        if "micro" in scores:
            micro = scores["micro"]
            headline = (
                f"entity F1 {micro['f1']:.3f} (precision {micro['precision']:.3f}, "
                f"recall {micro['recall']:.3f}); baseline, {baseline['name']}: {baseline['f1']:.3f}"
            )
        else:
            headline = (
                f"accuracy {scores['accuracy']:.3f}, macro F1 {scores['macro_f1']:.3f}; "
                f"baseline, {baseline['name']}: macro F1 {baseline['macro_f1']:.3f}"
            )
        lines.append(f"{name}: {headline}; margin {scores['margin']:+.3f}")
    test = metrics["test"]
    rows = test.get("per_class") or test.get("per_type") or {}
    width = max(len(name) for name in ("test", *rows))
    lines.append(f"  {'test':{width}}  precision  recall     f1  support")
    lines += [
        f"  {name:{width}}  {row['precision']:9.3f}  {row['recall']:6.3f}  {row['f1']:5.3f}  "
        f"{row['support']:7d}"
        for name, row in rows.items()
    ]
    return lines
