"""From settings, labels and features to a trained head and its predictions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.corpus.storage import Labels
from pipeline.errors import DataError
from pipeline.heads.model import Head
from pipeline.heads.settings import HeadSettings
from pipeline.heads.tasks import LABEL_KINDS
from pipeline.inference.answers import answer
from pipeline.inference.scoring import Outputs
from pipeline.store.digests import Digests
from pipeline.store.reader import Features
from pipeline.training.dev_score import dev_score
from pipeline.training.examples import HeadData, Split, bring_together
from pipeline.training.layers import kept_layers
from pipeline.training.loop import Epoch, assess, train
from pipeline.training.states import TrainingStates, open_states
from pipeline.training.thresholds import best_thresholds

Row = dict[str, Any]


@dataclass(frozen=True)
class FittedHead:
    """What a training gives.

    Attributes:
        head: of the seed with the best dev score, with the weights of its best epoch.
        description: what the head is and what made it; complete enough to load and use it.
        history: of that seed, one entry per epoch.
        shares: how much of each layer it reads: those of a mix, or 1 for each.
        predictions: by seed, one row per example of dev and test, ready for JSON.
    """

    head: Head
    description: dict[str, Any]
    history: list[Epoch]
    shares: dict[int, float]
    predictions: dict[int, list[Row]]


@dataclass(frozen=True)
class _Run:
    """The training of one seed."""

    seed: int
    head: Head
    history: list[Epoch]
    best: Epoch
    thresholds: dict[str, float] | None
    predictions: list[Row]


def fit_head(
    settings: HeadSettings,
    labels: Labels,
    features: Features,
    *,
    digests: Digests,
    device: torch.device,
    say: Callable[[str], object],
) -> FittedHead:
    """Trains a head on cached features, once per seed.

    Args:
        settings: the head's settings.
        labels: its label column.
        features: of the same texts.
        digests: what is known of the files to read.
        device: where to train.
        say: told the progress, a line at a time.

    Raises:
        StoreError: a layer is not kept, or the features are damaged or of other texts.
        DataError, TrainingError: see ``bring_together`` and ``train``.
    """
    layers = kept_layers(settings.layers, features)
    features.check(layers, digests)
    data = bring_together(
        labels, features, kinds=LABEL_KINDS[settings.task], scheme=settings.scheme
    )
    if (settings.scheme is not None) != (data.kind == "bio"):
        holds, must = ("", "bio or bioes") if data.kind == "bio" else ("no ", "null")
        raise DataError(f"label {settings.label!r} holds {holds}entities: scheme must be {must}")
    states = open_states(features, layers, device)
    runs = []
    for seed in settings.training.seeds:
        if len(settings.training.seeds) > 1:
            say(f"seed {seed}")
        runs.append(
            _fit_seed(
                settings, data, states, width=features.width, seed=seed, device=device, say=say
            )
        )
    kept = max(runs, key=lambda run: run.best.dev_score)  # the first among equals
    mix = kept.head.mix
    shares = [1.0] * len(layers) if mix is None else mix.shares.tolist()
    description = {
        "settings": settings.model_dump(mode="json"),
        "kind": data.kind,
        "labels": data.names,
        "thresholds": kept.thresholds,
        "width": features.width,
        "layers": layers,
        "seed": kept.seed,
        "best_epoch": kept.best.epoch,
        "dev_score": kept.best.dev_score,
        "parameters": sum(parameter.numel() for parameter in kept.head.parameters()),
        "data": data.report,
        "texts_sha256": labels.texts_sha256,
        "recipe": features.manifest.recipe,
        "torch": torch.__version__.split("+")[0],
    }
    return FittedHead(
        head=kept.head,
        description=description,
        history=kept.history,
        shares=dict(zip(layers, shares, strict=True)),
        predictions={run.seed: run.predictions for run in runs},
    )


def new_head(settings: HeadSettings, data: HeadData, *, width: int) -> Head:
    """A head with random weights, drawn from torch's global generator."""
    head = Head(settings, width=width, names=data.names)
    if data.kind == "number":
        values = np.array(data.splits["train"].gold, np.float64)
        head.target_mean.fill_(values.mean())
        head.target_scale.fill_(values.std())
    return head


def _fit_seed(
    settings: HeadSettings,
    data: HeadData,
    states: TrainingStates,
    *,
    width: int,
    seed: int,
    device: torch.device,
    say: Callable[[str], object],
) -> _Run:
    dev = data.splits["dev"]

    def score(outputs: list[Outputs]) -> float:
        thresholds = _thresholds(settings, data.names, dev, outputs)
        rows = _answers(settings, data.names, dev, outputs, thresholds)
        return dev_score(settings.training.metric, data.kind, dev.gold, rows)

    def report(epoch: Epoch) -> None:
        say(
            f"epoch {epoch.epoch}/{settings.training.epochs}: train loss {epoch.train_loss:.4f}, "
            f"dev loss {epoch.dev_loss:.4f}, dev {settings.training.metric} {epoch.dev_score:.4f}"
        )

    begin = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        head = new_head(settings, data, width=width).to(device)
        history = train(
            head,
            states,
            train_split=data.splits["train"],
            dev_split=dev,
            dev_score=score,
            settings=settings.training,
            seed=seed,
            device=device,
            report=report,
            read_ahead=states.will_need,
        )
    say(f"trained in {time.perf_counter() - begin:.1f} s")
    best = max(history, key=lambda epoch: (epoch.dev_score, -epoch.epoch))
    outputs = {
        name: assess(head, states, data.splits[name], device=device)[0] for name in ("dev", "test")
    }
    thresholds = _thresholds(settings, data.names, dev, outputs["dev"])
    predictions = [
        {"id": example, "split": name, **row}
        for name in ("dev", "test")
        for example, row in zip(
            data.splits[name].ids,
            _answers(settings, data.names, data.splits[name], outputs[name], thresholds),
            strict=True,
        )
    ]
    return _Run(seed, head, history, best, thresholds, predictions)


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
