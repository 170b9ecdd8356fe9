"""What a rival of a head leaves, without the libraries that fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.folds import Fold


@dataclass(frozen=True)
class FittedRival:
    """Result of a rival of a head.

    Attributes:
        predictions: one per example of dev and test, in the form in which heads write theirs; in
            folds, those of all folds.
        description: ready for JSON: its name, what was learned, from what, and how good each
            penalty was; in folds, ``folds`` has the latter by fold.
    """

    predictions: list[dict[str, Any]]
    description: dict[str, Any]

    def lines(self) -> list[str]:
        """What was chosen on dev, for people; a line per fold."""
        folds = self.description.get("folds", {"": self.description})
        return [f"{self.description['name']}: {_line(*fold)}" for fold in folds.items()]


def _line(fold: str, fit: Mapping[str, Any]) -> str:
    l2 = f"{fit['l2']:g}"
    where = f"{fold.replace('_', ' ')}, " if fold else ""
    return f"{where}l2 {l2}, dev score {fit['dev_scores'][l2]:.4f}{_doubts(fit)}"


def _doubts(fit: Mapping[str, Any]) -> str:
    at_end = ", the last penalty that is tried: there may be a better one" if fit["at_end"] else ""
    return at_end if fit["converged"] else f"{at_end}, not converged"


def together(fits: Mapping[Fold, FittedRival], about: Mapping[str, Any]) -> FittedRival:
    """The fits of all folds as one.

    Args:
        fits: by fold.
        about: what the description says of all of them.
    """
    if None in fits:
        return FittedRival(fits[None].predictions, {**about, **fits[None].description})
    folds = {f"fold_{fold}": fit.description for fold, fit in fits.items()}
    predictions = [row for fit in fits.values() for row in fit.predictions]
    return FittedRival(predictions, {**about, "folds": folds})
