"""Headline scores of a split: which they are, and how people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "entity_f1": "entity F1",
    "rmse": "RMSE",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "f1": "F1",
}


def headlines(scores: Mapping[str, Any]) -> list[str]:
    """The scores of a split that have an interval; a head is judged by the first."""
    return [name for name in scores if f"{name}_low" in scores]


def score_title(name: str) -> str:
    """The name of a score, or of a column of scores, for people."""
    return _NAMES.get(name, name.replace("_", " "))


def number(value: float | None) -> str:
    """Three decimals; a dash where a score is undefined."""
    return "–" if value is None else f"{value:.3f}"


def with_interval(scores: Mapping[str, Any], name: str, *, signed: bool = False) -> str:
    """``0.951 [0.919, 0.978]``; a dash where the score is undefined."""
    values = [scores[key] for key in (name, f"{name}_low", f"{name}_high")]
    if None in values:
        return number(values[0])
    value, low, high = (f"{number:{'+' if signed else ''}.3f}" for number in values)
    return f"{value} [{low}, {high}]"
