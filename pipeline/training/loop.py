"""The training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.errors import TrainingError
from pipeline.heads.model import Head
from pipeline.heads.scoring import Outputs, StatesSource, logits_of, outputs_of, score
from pipeline.heads.training_settings import TrainingSettings
from pipeline.tasks.dataset import Split
from pipeline.training.batches import epoch_batches
from pipeline.training.schedule import rate_factor


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
    dev_score: Callable[[list[Outputs]], float],
    settings: TrainingSettings,
    seed: int,
    device: torch.device,
    report: Callable[[Epoch], object],
    on_step: Callable[[float], object] = float,
    read_ahead: Callable[[npt.NDArray[np.int64]], object] = len,
) -> list[Epoch]:
    """Fits a head; it ends with the weights of the epoch whose dev score was best.

    Dropout draws from torch's global generator, so that the caller's seed decides everything.

    Args:
        head: on ``device``, with its initial weights.
        states: the token states of the rows.
        dev_score: from what the head gives for the dev split to a number, higher is better.
        seed: of the order of the examples.
        report: told each epoch as it ends.
        on_step: told the loss of each step.
        read_ahead: told the rows of a block of examples while the one before it is learnt from.

    Returns:
        The history, an entry per epoch.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    weights: Tensor | None = None
    if settings.class_weights:
        found = head.label_type.class_weights(train_split.targets, head.names)
        weights = torch.from_numpy(found).to(device)
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    steps = settings.epochs * -(-len(train_split) // settings.batch_size)
    taken = 0
    history: list[Epoch] = []
    best: dict[str, Tensor] = {}
    best_epoch = 0
    for number in range(1, settings.epochs + 1):
        head.train()
        total = labels = 0.0
        for members in epoch_batches(
            train_split.rows,
            train_split.lengths,
            batch_size=settings.batch_size,
            rng=np.random.default_rng([seed, number]),
            read_ahead=read_ahead,
        ):
            factor = rate_factor(
                taken, steps=steps, warmup=settings.warmup, schedule=settings.schedule
            )
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            taken += 1
            logits, words = logits_of(head, states, train_split, members, device)
            targets = _targets(train_split, members, device)
            loss, count = head.loss(logits, targets, words, weights)
            if count == 0:
                continue  # a batch whose words were all cut off teaches nothing
            mean = loss / count
            optimizer.zero_grad()
            mean.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), settings.gradient_clip)
            optimizer.step()
            value = mean.item()
            if not np.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {number}; lower learning_rate "
                    "or gradient_clip"
                )
            on_step(value)
            total += value * count
            labels += count
        outputs, dev_loss = evaluate(head, states, dev_split, device=device)
        if np.isnan(dev_loss):  # the last step's gradient was not finite, though its loss was
            raise TrainingError(
                f"the loss on dev became {dev_loss} in epoch {number}; lower learning_rate"
            )
        epoch = Epoch(number, total / max(labels, 1), dev_loss, dev_score(outputs))
        history.append(epoch)
        report(epoch)
        if best_epoch == 0 or epoch.dev_score > history[best_epoch - 1].dev_score:
            best_epoch = number
            best = {name: value.clone() for name, value in head.state_dict().items()}
        if number - best_epoch >= settings.patience:
            break
    head.load_state_dict(best)
    return history


def evaluate(
    head: Head, states: StatesSource, split: Split, *, device: torch.device
) -> tuple[list[Outputs], float]:
    """Outputs of a head for every example of a split, in order, and its mean loss.

    The loss is over the labels that the head knows, and without class weights.
    """
    results: list[Outputs | None] = [None] * len(split)
    total = labels = 0.0
    for members, logits, words in score(head, states, split, device=device):
        with torch.inference_mode():
            loss, count = head.loss(logits, _targets(split, members, device), words)
        total += loss.item()
        labels += count
        for member, outputs in zip(members, outputs_of(head, logits, words), strict=True):
            results[member] = outputs
    return [outputs for outputs in results if outputs is not None], total / max(labels, 1)


def _targets(split: Split, members: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    targets = torch.from_numpy(np.concatenate([split.targets[member] for member in members]))
    return (targets if targets.is_floating_point() else targets.long()).to(device)
