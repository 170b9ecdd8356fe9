"""The training loop, and the forward pass that scores with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import TrainingError
from pipeline.heads.model import Head
from pipeline.heads.packing import pack_batch
from pipeline.heads.targets import IGNORE
from pipeline.training.batches import scoring_batches, training_batches
from pipeline.training.examples import Split
from pipeline.training.settings import TrainingSettings
from pipeline.training.states import StatesSource

SCORING_BATCH = 64
"""Examples per batch without gradients; outputs do not depend on it."""


@dataclass(frozen=True)
class Epoch:
    """One line of a training's history; losses are means over labels."""

    epoch: int
    train_loss: float
    dev_loss: float
    dev_score: float


def train(
    head: Head,
    states: StatesSource,
    *,
    train_split: Split,
    dev_split: Split,
    score: Callable[[list[npt.NDArray[np.float32]]], float],
    settings: TrainingSettings,
    device: torch.device,
    report: Callable[[Epoch], object],
    on_step: Callable[[float], object] = float,
) -> list[Epoch]:
    """Fits a head; it ends with the weights of the epoch whose dev score was best.

    Dropout draws from torch's global generator, so that the caller's seed decides everything.

    Args:
        head: on ``device``, with its initial weights.
        states: the token states of the rows.
        score: from the probabilities of the dev split (as ``predict`` gives them) to a number,
            higher is better.
        report: told each epoch as it ends.
        on_step: told the loss of each step.

    Returns:
        The history, an entry per epoch.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    history: list[Epoch] = []
    best: dict[str, Tensor] = {}
    best_epoch = 0
    for number in range(1, settings.epochs + 1):
        head.train()
        total = labels = 0.0
        rng = np.random.default_rng([settings.seed, number])
        for members in training_batches(
            train_split.lengths, batch_size=settings.batch_size, rng=rng
        ):
            logits, targets = _forward(head, states, train_split, members, device)
            count = int((targets != IGNORE).sum())
            if count == 0:
                continue  # a batch whose words were all cut off teaches nothing
            loss = F.cross_entropy(logits, targets, ignore_index=IGNORE)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), settings.gradient_clip)
            optimizer.step()
            value = loss.item()
            if not np.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {number}; lower learning_rate "
                    "or gradient_clip"
                )
            on_step(value)
            total += value * count
            labels += count
        probabilities, dev_loss = predict(head, states, dev_split, device=device)
        epoch = Epoch(number, total / max(labels, 1), dev_loss, score(probabilities))
        history.append(epoch)
        report(epoch)
        if best_epoch == 0 or epoch.dev_score > history[best_epoch - 1].dev_score:
            best_epoch = number
            best = {name: value.clone() for name, value in head.state_dict().items()}
        if number - best_epoch >= settings.patience:
            break
    head.load_state_dict(best)
    return history


@torch.inference_mode()
def predict(
    head: Head, states: StatesSource, split: Split, *, device: torch.device
) -> tuple[list[npt.NDArray[np.float32]], float]:
    """Probabilities of every example of a split, and its mean loss.

    Returns:
        Per example, in the split's order, (1, labels) or (tokens, labels) float32 probabilities;
        and the mean cross-entropy over the labels that the head knows.
    """
    head.eval()
    results: list[Any] = [None] * len(split)
    total, labels = 0.0, 0
    for members in scoring_batches(split.lengths, batch_size=SCORING_BATCH):
        logits, targets = _forward(head, states, split, members, device)
        total += F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum").item()
        labels += int((targets != IGNORE).sum())
        probabilities = logits.softmax(-1).cpu().numpy()
        start = 0
        for member in members:
            end = start + len(split.targets[member])
            results[member] = probabilities[start:end]
            start = end
    return results, total / max(labels, 1)


def _forward(
    head: Head,
    states: StatesSource,
    split: Split,
    members: npt.NDArray[np.int64],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Logits and targets of some examples: (n, labels) and (n,), n texts or tokens."""
    tokens = states.read(split.rows[members])
    batch = pack_batch(split.lengths[members].tolist()).to(device)
    targets = torch.from_numpy(np.concatenate([split.targets[member] for member in members]))
    return head(tokens.to(device), batch), targets.to(device)
