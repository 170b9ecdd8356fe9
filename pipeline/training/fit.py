"""From labels and features to a trained head with its predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.corpus.storage import Labels
from pipeline.evaluation.metrics import classification_scores, entity_scores
from pipeline.heads.model import Head
from pipeline.heads.settings import HeadSettings, Task
from pipeline.heads.targets import NO_TOKEN
from pipeline.store.digests import Digests
from pipeline.store.reader import Features
from pipeline.training.examples import HeadData, Split, bring_together
from pipeline.training.layers import kept_layers
from pipeline.training.loop import Epoch, predict, train
from pipeline.training.states import CachedStates, StatesSource


@dataclass(frozen=True)
class FittedHead:
    """What a training gives.

    Attributes:
        head: with the weights of its best epoch.
        description: what the head is and what made it; complete enough to load and use it.
        history: one entry per epoch.
        predictions: one per example of dev and test, ready for JSON.
    """

    head: Head
    description: dict[str, Any]
    history: list[Epoch]
    predictions: list[dict[str, Any]]


def fit_head(
    settings: HeadSettings,
    labels: Labels,
    features: Features,
    *,
    digests: Digests,
    device: torch.device,
    say: Callable[[str], object],
) -> FittedHead:
    """Trains a head on cached features.

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
    data = bring_together(labels, features, settings.task)
    states = CachedStates(features, layers, device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.training.seed)
        head = Head(
            task=settings.task,
            input_size=states.width,
            labels=len(data.names),
            recurrent=settings.recurrent,
        ).to(device)
        history = train(
            head,
            states,
            train_split=data.splits["train"],
            dev_split=data.splits["dev"],
            score=partial(dev_score, data.splits["dev"], data.names, settings.task),
            settings=settings.training,
            device=device,
            report=lambda epoch: say(
                f"epoch {epoch.epoch}/{settings.training.epochs}: train loss "
                f"{epoch.train_loss:.4f}, dev loss {epoch.dev_loss:.4f}, "
                f"dev score {epoch.dev_score:.4f}"
            ),
        )
    best = max(history, key=lambda epoch: (epoch.dev_score, -epoch.epoch))
    description = {
        "settings": settings.model_dump(mode="json"),
        "labels": data.names,
        "input_size": states.width,
        "layers": layers,
        "best_epoch": best.epoch,
        "dev_score": best.dev_score,
        "parameters": sum(parameter.numel() for parameter in head.parameters()),
        "data": data.report,
        "texts_sha256": labels.texts_sha256,
        "recipe": features.manifest.recipe,
        "torch": torch.__version__.split("+")[0],
    }
    return FittedHead(
        head, description, history, _predictions(head, states, data, settings, device)
    )


def dev_score(
    split: Split,
    names: list[str],
    task: Task,
    probabilities: list[npt.NDArray[np.float32]],
) -> float:
    """Macro F1 of classes, or micro F1 of entities: what the best epoch is chosen by."""
    if task == "sequence_classification":
        predicted = [names[int(row[0].argmax())] for row in probabilities]
        return classification_scores(split.gold, predicted).macro_f1
    tags = [
        word_tags(row, places, names)[0]
        for row, places in zip(probabilities, split.places, strict=True)
    ]
    return entity_scores(split.gold, tags).micro.f1


def word_tags(
    probabilities: npt.NDArray[np.float32],
    places: npt.NDArray[np.int64],
    names: list[str],
) -> tuple[list[str | None], list[float | None]]:
    """The likeliest tag of each word and its probability; ``None`` where a word has no token.

    Args:
        probabilities: (tokens, labels).
        places: (words,), the token that each word is read at.
    """
    best = probabilities.argmax(-1)
    tags: list[str | None] = []
    confidences: list[float | None] = []
    for place in places:
        has_token = place != NO_TOKEN
        tags.append(names[best[place]] if has_token else None)
        confidences.append(rounded(probabilities[place, best[place]]) if has_token else None)
    return tags, confidences


def rounded(probability: np.float32) -> float:
    """A probability with as many digits as float32 is sure of."""
    return round(float(probability), 6)


def _predictions(
    head: Head,
    states: StatesSource,
    data: HeadData,
    settings: HeadSettings,
    device: torch.device,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in ("dev", "test"):
        split = data.splits[name]
        probabilities, _ = predict(head, states, split, device=device)
        for example, places, values in zip(split.ids, split.places, probabilities, strict=True):
            row: dict[str, Any] = {"id": example, "split": name}
            if settings.task == "sequence_classification":
                row["label"] = data.names[int(values[0].argmax())]
                row["probabilities"] = {
                    label: rounded(value)
                    for label, value in zip(data.names, values[0], strict=True)
                }
            else:
                row["tags"], row["probabilities"] = word_tags(values, places, data.names)
            rows.append(row)
    return rows
