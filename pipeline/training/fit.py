"""From settings, labels and features to a trained head and its predictions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.corpus.folds import Fold, Run, by_fold, run_names
from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import Features
from pipeline.heads.decoding import answer
from pipeline.heads.model import Head
from pipeline.heads.scoring import Outputs
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.dataset import LabelledDataset, Split
from pipeline.tasks.dev_score import dev_score
from pipeline.tasks.thresholds import best_thresholds
from pipeline.training.data import TrainingData
from pipeline.training.loop import Epoch, assess, train

Row = dict[str, Any]


@dataclass(frozen=True)
class FittedHead:
    """What a training gives.

    Attributes:
        head: of the run with the best dev score, with the weights of its best epoch.
        description: what the head is and what made it; complete enough to load and use it.
        history: of that run, one entry per epoch.
        shares: how much of each layer it reads: those of a mix, or 1 for each.
        predictions: by name of the run, one row per example of its dev and test, ready for JSON.
    """

    head: Head
    description: dict[str, Any]
    history: list[Epoch]
    shares: dict[int, float]
    predictions: dict[str, list[Row]]


@dataclass(frozen=True)
class TrainedSeed:
    """The training of one seed.

    Attributes:
        seed: of initial weights, order and dropout.
        head: with the weights of its best epoch.
        history: one entry per epoch.
    """

    seed: int
    head: Head
    history: list[Epoch]

    @property
    def best(self) -> Epoch:
        """The epoch with the best dev score, the first among equals."""
        return max(self.history, key=lambda epoch: (epoch.dev_score, -epoch.epoch))


@dataclass(frozen=True)
class _Run:
    """What is kept of every run until the best is known."""

    trained: TrainedSeed
    description: dict[str, Any]
    predictions: list[Row]


def fit_head(
    settings: HeadSettings,
    labels: Labels,
    features: Features,
    *,
    hash_cache: HashCache,
    device: torch.device,
    say: Callable[[str], object],
) -> FittedHead:
    """Trains a head on cached features, once per seed, and with each on every fold.

    Args:
        settings: the head's settings.
        labels: its label column.
        features: of the same texts.
        hash_cache: cached checksums of the files to read.
        device: where to train.
        say: told the progress, a line at a time.

    Raises:
        StoreError: a layer is not kept, or the features are damaged or of other texts.
        DataError, TrainingError: see ``by_fold``, ``build_dataset`` and ``train``.
    """
    material = TrainingData(labels, features, hash_cache=hash_cache, device=device)
    folds = by_fold(labels)
    names = run_names([Run(fold, seed) for fold in folds for seed in settings.training.seeds])
    runs: dict[str, _Run] = {}
    for fold, seen in folds.items():
        theirs = material.of(seen)
        for seed in settings.training.seeds:
            name = names[Run(fold, seed)]
            if len(names) > 1:
                say(name.replace("_", " "))
            begin = time.perf_counter()
            trained = train_seed(
                settings,
                theirs,
                seed=seed,
                after_epoch=lambda epoch: say(_progress(epoch, settings)),
            )
            say(f"trained in {time.perf_counter() - begin:.1f} s")
            thresholds, rows = predict_seed(settings, theirs, trained)
            description = _description(settings, theirs, trained, fold, thresholds)
            runs[name] = _Run(trained, description, rows)
    kept = max(runs.values(), key=lambda run: run.trained.best.dev_score)  # first among equals
    layers, mix = material.layers(settings), kept.trained.head.mix
    shares = [1.0] * len(layers) if mix is None else mix.shares.tolist()
    return FittedHead(
        head=kept.trained.head,
        description=kept.description,
        history=kept.trained.history,
        shares=dict(zip(layers, shares, strict=True)),
        predictions={name: run.predictions for name, run in runs.items()},
    )


def new_head(settings: HeadSettings, data: LabelledDataset, *, width: int) -> Head:
    """A head with random weights, drawn from torch's global generator."""
    head = Head(settings, width=width, names=data.names)
    if data.kind == "number":
        values = np.array(data.splits["train"].gold, np.float64)
        head.target_mean.fill_(values.mean())
        head.target_scale.fill_(values.std())
    return head


def train_seed(
    settings: HeadSettings,
    material: TrainingData,
    *,
    seed: int,
    after_epoch: Callable[[Epoch], object],
) -> TrainedSeed:
    """Trains a head with one seed; what it gives depends on nothing that was trained before.

    Args:
        settings: the head's settings, whose own ``seeds`` do not matter here.
        material: what it learns from.
        seed: of initial weights, order and dropout.
        after_epoch: told each epoch as it ends; an exception of its own ends the training.

    Raises:
        StoreError: a layer is not kept, or the features are damaged or of other texts.
        DataError, TrainingError: see ``build_dataset`` and ``train``.
    """
    device = material.device
    states, data = material.states(material.layers(settings)), material.data(settings)
    dev = data.splits["dev"]

    def score(outputs: list[Outputs]) -> float:
        thresholds = _thresholds(settings, data.names, dev, outputs)
        rows = _answers(settings, data.names, dev, outputs, thresholds)
        return dev_score(settings.training.metric, data.kind, dev.gold, rows)

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        head = new_head(settings, data, width=material.width).to(device)
        history = train(
            head,
            states,
            train_split=data.splits["train"],
            dev_split=dev,
            dev_score=score,
            settings=settings.training,
            seed=seed,
            device=device,
            report=after_epoch,
            read_ahead=states.will_need,
        )
    return TrainedSeed(seed, head, history)


def predict_seed(
    settings: HeadSettings, material: TrainingData, trained: TrainedSeed
) -> tuple[dict[str, float] | None, list[Row]]:
    """The thresholds of a trained head, if its task has any, and its rows for dev and test."""
    states, data = material.states(material.layers(settings)), material.data(settings)
    thresholds: dict[str, float] | None = None
    rows: list[Row] = []
    for name in ("dev", "test"):
        split = data.splits[name]
        outputs, _ = assess(trained.head, states, split, device=material.device)
        if name == "dev":
            thresholds = _thresholds(settings, data.names, split, outputs)
        answers = _answers(settings, data.names, split, outputs, thresholds)
        del outputs  # before there are those of the next split
        rows += (
            {"id": example, "split": name, **answered}
            for example, answered in zip(split.ids, answers, strict=True)
        )
    return thresholds, rows


def _description(
    settings: HeadSettings,
    material: TrainingData,
    trained: TrainedSeed,
    fold: Fold,
    thresholds: dict[str, float] | None,
) -> dict[str, Any]:
    data = material.data(settings)
    return {
        "settings": settings.model_dump(mode="json"),
        "kind": data.kind,
        "labels": data.names,
        "thresholds": thresholds,
        "width": material.width,
        "layers": material.layers(settings),
        "fold": fold,
        "seed": trained.seed,
        "best_epoch": trained.best.epoch,
        "dev_score": trained.best.dev_score,
        "parameters": sum(parameter.numel() for parameter in trained.head.parameters()),
        "data": data.report,
        "texts_sha256": material.labels.texts_sha256,
        "recipe": material.features.manifest.recipe,
        "torch": torch.__version__.split("+")[0],
    }


def _progress(epoch: Epoch, settings: HeadSettings) -> str:
    return (
        f"epoch {epoch.epoch}/{settings.training.epochs}: train loss {epoch.train_loss:.4f}, "
        f"dev loss {epoch.dev_loss:.4f}, dev {settings.training.metric} {epoch.dev_score:.4f}"
    )


def _thresholds(
    settings: HeadSettings, names: list[str], dev: Split, outputs: list[Outputs]
) -> dict[str, float] | None:
    """The thresholds for several labels per text: what is best on dev."""
    if settings.task != "multilabel_classification":
        return None
    rows = _answers(settings, names, dev, outputs, None)
    return best_thresholds(
        np.array([[row["probabilities"][name] for name in names] for row in rows]),
        np.array([[name in gold for name in names] for gold in dev.gold]),
        names,
    )


def _answers(
    settings: HeadSettings,
    names: list[str],
    split: Split,
    outputs: list[Outputs],
    thresholds: dict[str, float] | None,
) -> list[Row]:
    return [
        answer(
            settings,
            names,
            one,
            words=None if split.words is None else split.words[member],
            thresholds=thresholds,
        )
        for member, one in enumerate(outputs)
    ]
