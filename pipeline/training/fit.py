"""Training of a head: from settings, labels and features to weights and predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pipeline.core.gpu_memory import naming_what_to_lower
from pipeline.corpus.folds import Fold, Run, by_fold, run_names
from pipeline.corpus.storage import Labels
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import Features
from pipeline.heads.model import Head
from pipeline.heads.scoring import Outputs, answers
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.dataset import LabelledDataset, Split
from pipeline.tasks.label_type import Row
from pipeline.training.data import HeadInputs, TrainingData
from pipeline.training.loop import Epoch, evaluate, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FittedHead:
    """Result of a training.

    Attributes:
        head: of the run with the best dev score, with the weights of its best epoch.
        description: what the head is and what made it; complete enough to load and use it.
        history: of that run, one entry per epoch.
        layer_weights: of each layer that it reads: those of a mix, or 1 for each.
        predictions: by name of the run, one row per example of its dev and test, ready for JSON.
    """

    head: Head
    description: dict[str, Any]
    history: list[Epoch]
    layer_weights: dict[int, float]
    predictions: dict[str, list[Row]]


@dataclass(frozen=True)
class TrainedSeed:
    """The training of one seed.

    Attributes:
        seed: of initial weights, order and dropout.
        inputs: what it was trained on.
        head: with the weights of its best epoch.
        history: one entry per epoch.
    """

    seed: int
    inputs: HeadInputs
    head: Head
    history: list[Epoch]

    @property
    def best(self) -> Epoch:
        """The epoch with the best dev score, the first among equals."""
        return max(self.history, key=lambda epoch: (epoch.dev_score, -epoch.epoch))


@dataclass(frozen=True)
class _Run:
    """One run, kept until the best is known."""

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
) -> FittedHead:
    """Train a head on cached features, once per seed, and with each on every fold.

    Args:
        settings: the head's settings.
        labels: its label column.
        features: of the same texts.
        hash_cache: cached checksums of the files to read.
        device: where to train.

    Raises:
        StoreError: a layer is not kept, or the features are damaged or of other texts.
        DataError, TrainingError: see ``TrainingData.for_head``, ``by_fold`` and ``train``.
    """
    data = TrainingData(labels, features, hash_cache=hash_cache, device=device)
    seeds, folds = settings.training.seeds, by_fold(labels)
    names = run_names([Run(fold, seed) for fold in folds for seed in seeds])
    runs: dict[str, _Run] = {}
    for fold, seen in folds.items():
        inputs = data.of(seen).for_head(settings)
        for seed in seeds:
            name = names[Run(fold, seed)]
            if len(names) > 1:
                logger.info(name.replace("_", " "))
            begin = time.perf_counter()
            trained = train_seed(inputs, seed=seed, after_epoch=partial(_log_epoch, inputs))
            logger.info("trained in %.1f s", time.perf_counter() - begin)
            thresholds, rows = predict_seed(trained)
            description = {
                **_description(trained, fold, thresholds),
                "texts_sha256": labels.texts_sha256,
                "recipe": features.manifest.recipe,
                "torch": torch.__version__.split("+")[0],
            }
            runs[name] = _Run(trained, description, rows)
    best = max(runs.values(), key=lambda run: run.trained.best.dev_score)  # first among equals
    return FittedHead(
        head=best.trained.head,
        description=best.description,
        history=best.trained.history,
        layer_weights=_layer_weights(best.trained),
        predictions={name: run.predictions for name, run in runs.items()},
    )


def train_seed(
    inputs: HeadInputs, *, seed: int, after_epoch: Callable[[Epoch], object]
) -> TrainedSeed:
    """Train a head with one seed; what it gives depends on nothing that was trained before.

    Args:
        inputs: what it learns from; the ``seeds`` of its settings do not matter here.
        seed: of initial weights, order and dropout.
        after_epoch: epoch callback; an exception of its own ends the training.

    Raises:
        TrainingError: see ``train``.
        MachineError: the GPU's memory is full.
    """
    training, device = inputs.settings.training, inputs.device
    splits = inputs.dataset.splits

    def score(outputs: list[Outputs]) -> float:
        _, rows = _predictions(inputs.dataset, splits["dev"], outputs)
        return inputs.dataset.label_type.dev_score(training.metric, splits["dev"].gold, rows)

    advice = f"in training; lower training.batch_size, now {training.batch_size}"
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        naming_what_to_lower(device, advice),
    ):
        torch.manual_seed(seed)
        head = new_head(inputs).to(device)
        history = train(
            head,
            inputs.states,
            train_split=splits["train"],
            dev_split=splits["dev"],
            dev_score=score,
            settings=training,
            seed=seed,
            device=device,
            report=after_epoch,
            read_ahead=inputs.states.will_need,
        )
    return TrainedSeed(seed, inputs, head, history)


def new_head(inputs: HeadInputs) -> Head:
    """A head with random weights, drawn from torch's global generator."""
    dataset = inputs.dataset
    head = Head.build(
        inputs.settings,
        dataset.label_type,
        dataset.names,
        width=inputs.width,
        pairs_apart=dataset.pairs_apart,
    )
    if moments := dataset.label_type.centre_and_scale(dataset.splits["train"].gold):
        head.target_mean.fill_(moments[0])
        head.target_scale.fill_(moments[1])
    return head


def predict_seed(trained: TrainedSeed) -> tuple[dict[str, float] | None, list[Row]]:
    """Thresholds of a trained head, if its label type has any, and its rows for dev and test."""
    inputs = trained.inputs
    thresholds: dict[str, float] | None = None
    rows: list[Row] = []
    for name in ("dev", "test"):
        split = inputs.dataset.splits[name]
        outputs, _ = evaluate(trained.head, inputs.states, split, device=inputs.device)
        # Thresholds are tuned on dev, which comes first.
        thresholds, found = _predictions(inputs.dataset, split, outputs, thresholds)
        del outputs  # before there are those of the next split
        rows += (
            {"id": example, "split": name, **row}
            for example, row in zip(split.ids, found, strict=True)
        )
    return thresholds, rows


def _predictions(
    dataset: LabelledDataset,
    split: Split,
    outputs: list[Outputs],
    thresholds: dict[str, float] | None = None,
) -> tuple[dict[str, float] | None, list[Row]]:
    """Rows of a split, with thresholds; where there are none yet, with those tuned on it."""
    label_type, names = dataset.label_type, dataset.names
    rows = answers(label_type, names, outputs, split.words, thresholds)
    tuned = thresholds or label_type.thresholds(split.gold, rows, names)
    if tuned != thresholds:
        rows = answers(label_type, names, outputs, split.words, tuned)
    return tuned, rows


def _description(
    trained: TrainedSeed, fold: Fold, thresholds: dict[str, float] | None
) -> dict[str, Any]:
    inputs = trained.inputs
    return {
        "settings": inputs.settings.model_dump(mode="json"),
        "label_type": inputs.dataset.label_type.name,
        "labels": inputs.dataset.names,
        "thresholds": thresholds,
        "width": inputs.width,
        "layers": inputs.layers,
        "fold": fold,
        "seed": trained.seed,
        "best_epoch": trained.best.epoch,
        "dev_score": trained.best.dev_score,
        "losses": {
            "train": [epoch.train_loss for epoch in trained.history],
            "dev": [epoch.dev_loss for epoch in trained.history],
        },
        "parameters": sum(parameter.numel() for parameter in trained.head.parameters()),
        "data": inputs.dataset.report,
        **({"pairs": "apart"} if inputs.dataset.pairs_apart else {}),
    }


def _layer_weights(trained: TrainedSeed) -> dict[int, float]:
    layers, mix = trained.inputs.layers, trained.head.mix
    weights = [1.0] * len(layers) if mix is None else mix.shares.tolist()
    return dict(zip(layers, weights, strict=True))


def _log_epoch(inputs: HeadInputs, epoch: Epoch) -> None:
    training = inputs.settings.training
    logger.info(
        "epoch %d/%d: train loss %.4f, dev loss %.4f, dev %s %.4f",
        epoch.epoch,
        training.epochs,
        epoch.train_loss,
        epoch.dev_loss,
        training.metric,
        epoch.dev_score,
    )
