"""One trial: a head trained with every seed of its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from pipeline.core.errors import MachineError, TrainingError
from pipeline.sweeps.results import SeedScore
from pipeline.sweeps.space import trial_settings
from pipeline.training.data import TrainingData
from pipeline.training.fit import train_seed
from pipeline.training.loop import Epoch

ShouldPrune = Callable[[int, float], bool]
"""Pruning callback: from an epoch of the first seed and the best dev score, whether to end."""


@dataclass(frozen=True)
class TrialResult:
    """Result of a trial; see ``TrialRecord``."""

    state: Literal["complete", "pruned", "failed"]
    score: float | None
    seeds: dict[int, SeedScore]
    curve: list[float]
    parameters: int | None
    threads: int
    problem: str | None = None


RunTrial = Callable[[Mapping[str, Any], ShouldPrune], TrialResult]
"""Function from settings by path, and a pruning callback, to a result."""


class _PrunedError(Exception):
    """Ends a training from within."""


def run_trial(
    row: Mapping[str, Any], data: TrainingData, values: Mapping[str, Any], should_prune: ShouldPrune
) -> TrialResult:
    """Trains a head as ``stages.train`` does, without writing anything.

    Only the first seed can be given up: the others are trained to make the score sure.

    Args:
        row: the head's row.
        data: what it learns from.
        values: what this trial has instead, by path.
        should_prune: asked after each epoch of the first seed.
    """
    threads = torch.get_num_threads() if data.device.type == "cpu" else 0
    seeds: dict[int, SeedScore] = {}
    history: list[Epoch] = []
    curve: list[float] = []
    parameters: int | None = None

    def after_epoch(epoch: Epoch) -> None:
        history.append(epoch)
        if not seeds:
            curve.append(epoch.dev_score)
            if should_prune(epoch.epoch, max(curve)):
                raise _PrunedError

    def score() -> float | None:
        found = [seed.dev_score for seed in seeds.values()]
        return sum(found) / len(found) if found else None

    seed = -1
    try:
        settings = trial_settings(row, values)
        inputs = data.for_head(settings)
        for seed in settings.training.seeds:
            history.clear()
            trained = train_seed(inputs, seed=seed, after_epoch=after_epoch)
            parameters = sum(one.numel() for one in trained.head.parameters())
            seeds[seed] = _seed_score(history)
    except _PrunedError:
        seeds[seed] = _seed_score(history)
        return TrialResult("pruned", score(), seeds, curve, parameters, threads)
    except (TrainingError, MachineError, ValueError) as error:
        # Not the end of the sweep, nor is a full GPU: the trial would come first when it goes on.
        return TrialResult("failed", None, seeds, curve, parameters, threads, str(error))
    return TrialResult("complete", score(), seeds, curve, parameters, threads)


def _seed_score(history: list[Epoch]) -> SeedScore:
    best = max(history, key=lambda epoch: (epoch.dev_score, -epoch.epoch))
    return SeedScore(dev_score=best.dev_score, best_epoch=best.epoch, epochs=len(history))
