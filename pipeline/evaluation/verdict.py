"""What the metrics of a head say in words: whether a rival is as good, and whether it overfits.

All is judged on dev, by the headline score that a head is judged by, so that the test split is not
what anything is chosen by. A rival is as good if its score is; it is not told apart if the 95%
interval of the paired margin holds zero. A head overfits if the loss on dev had turned up for two
epochs or more when training ended, by a tenth or more, while that of training went on falling. The
weights that are kept are those of the best score, which may come after the lowest loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.headlines import headlines, number, score_title
from pipeline.evaluation.rivals import TITLES

OVERFIT_EPOCHS = 2
OVERFIT_RISE = 0.1
"""Share of the lowest loss on dev by which the last one is above it."""


@dataclass(frozen=True)
class Verdict:
    """Sentences on a head.

    Attributes:
        rivals: of it and its rivals.
        overfitting: that it overfits; empty if it does not, or nobody knows.
    """

    rivals: str
    overfitting: str

    @property
    def sentences(self) -> list[str]:
        """Those that there are."""
        return [sentence for sentence in (self.rivals, self.overfitting) if sentence]


def verdict(metrics: Mapping[str, Any]) -> Verdict:
    """The verdict on a head, from its ``metrics.json``."""
    return Verdict(_rivals(metrics["dev"]), _overfitting(metrics.get("training")))


def best_rival(dev: Mapping[str, Any]) -> str | None:
    """Key of the best rival on dev, of equals the last; ``None`` where no margin is defined."""
    margins = dict(reversed(_margins(dev).items()))
    return min(margins, key=lambda key: margins[key]) if margins else None


def training_facts(losses: Mapping[str, Sequence[float]], best_epoch: int) -> dict[str, float]:
    """What metrics hold of a training.

    Args:
        losses: ``train`` and ``dev``, one per epoch.
        best_epoch: whose weights were kept, from 1.
    """
    train, dev = losses["train"], losses["dev"]
    lowest = min(range(len(dev)), key=lambda place: dev[place])
    return {
        "epochs": len(dev),
        "kept_epoch": best_epoch,
        "lowest_dev_loss_epoch": lowest + 1,
        "lowest_dev_loss": dev[lowest],
        "last_dev_loss": dev[-1],
        "train_loss_then": train[lowest],
        "last_train_loss": train[-1],
    }


def overfits(training: Mapping[str, Any]) -> bool:
    """Whether the loss on dev had turned up well before the end, and that of training had not."""
    return bool(
        training["epochs"] - training["lowest_dev_loss_epoch"] >= OVERFIT_EPOCHS
        and training["last_dev_loss"] > training["lowest_dev_loss"] * (1 + OVERFIT_RISE)
        and training["last_train_loss"] < training["train_loss_then"]
    )


def _margins(dev: Mapping[str, Any]) -> dict[str, float]:
    """Margins of the head over each rival on dev, where they are defined."""
    name = headlines(dev)[0]
    found = {key: dev[key]["margin"][name] for key in TITLES if dev.get(key)}
    return {key: margin for key, margin in found.items() if margin is not None}


def _rivals(dev: Mapping[str, Any]) -> str:
    name = headlines(dev)[0]
    margins = _margins(dev)
    if not margins:
        return "no rival has a score on dev to compare with"
    score = f"{score_title(name)} {number(dev[name])}"

    def listed(keys: Sequence[str]) -> str:
        return " and ".join(f"{dev[key]['name']} ({number(dev[key][name])})" for key in keys)

    as_good = [key for key, margin in margins.items() if margin <= 0]
    if as_good:
        verb = "is" if len(as_good) == 1 else "are"
        return f"on dev {listed(as_good)} {verb} as good as this head or better: {score}"
    unclear = [key for key in margins if (dev[key]["margin"].get(f"{name}_low") or 0) <= 0]
    if unclear:
        return (
            f"on dev this head is not told apart from {listed(unclear)}: {score}, where 95% "
            "intervals of its margins hold zero"
        )
    best = best_rival(dev) or ""
    return f"on dev this head is better than its rivals: {score}, the best of them {listed([best])}"


def _overfitting(training: Mapping[str, Any] | None) -> str:
    if training is None or not overfits(training):
        return ""
    lowest, last = number(training["lowest_dev_loss"]), number(training["last_dev_loss"])
    return (
        f"it overfits: after epoch {training['lowest_dev_loss_epoch']} of {training['epochs']} the "
        f"loss on dev rose from {lowest} to {last} while that of training fell (kept: epoch "
        f"{training['kept_epoch']}); more dropout, a smaller network or fewer epochs may help"
    )
