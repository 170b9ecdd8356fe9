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


def results_table(heads: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One Markdown row per head, from its metrics: dev and test beside the test baseline."""
    rows = [("head", "score", "dev", "test", "baseline on test", "margin")]
    for name, metrics in heads.items():
        dev, test = metrics["dev"], metrics["test"]
        if "micro" in test:
            cells = ("entity F1", dev["micro"]["f1"], test["micro"]["f1"], test["baseline"]["f1"])
            rows.append((f"`{name}`", *_cells(cells), f"{test['margin']:+.3f}"))
        else:
            base = test["baseline"]
            cells = ("accuracy", dev["accuracy"], test["accuracy"], base["accuracy"])
            margin = test["accuracy"] - base["accuracy"]
            rows.append((f"`{name}`", *_cells(cells), f"{margin:+.3f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def _cells(cells: tuple[str, float, float, float]) -> tuple[str, str, str, str]:
    score, *values = cells
    dev, test, baseline = (f"{value:.3f}" for value in values)
    return score, dev, test, baseline
