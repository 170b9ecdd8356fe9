"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.errors import TrainingError
from pipeline.heads.feeding import StatesSource, feed
from pipeline.heads.fused import exact_float32, steps_ahead
from pipeline.heads.indices import Staging
from pipeline.heads.model import Head
from pipeline.heads.scoring import Outputs, outputs_of, score
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


@exact_float32()
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
        on_step: told the loss of each step, in order; on a GPU, of many steps at a time.
        read_ahead: told the rows of a block of examples while the one before it is learnt from.

    Returns:
        The history, an entry per epoch.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    weights = device_weights = None
    if settings.class_weights:
        found = head.label_type.class_weights(train_split.targets, head.names)
        weights = torch.from_numpy(found)
        device_weights = weights.to(device)
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    steps = settings.epochs * -(-len(train_split) // settings.batch_size)
    taken = 0
    staging = Staging(device, ahead=steps_ahead(device))
    history: list[Epoch] = []
    best: dict[str, Tensor] = {}
    best_epoch = 0
    for number in range(1, settings.epochs + 1):
        head.train()
        losses = _Losses(number, steps_ahead(device), on_step)
        batches = epoch_batches(
            train_split.rows,
            train_split.tokens,
            batch_size=settings.batch_size,
            rng=np.random.default_rng([seed, number]),
            read_ahead=read_ahead,
        )
        fed = feed(head, states, train_split, batches, staging, train_split.targets)
        for batch, tokens in fed:
            factor = rate_factor(
                taken, steps=steps, warmup=settings.warmup, schedule=settings.schedule
            )
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            taken += 1
            logits = head(tokens, batch.tokens, batch.words)
            count = head.loss_weight(batch.targets, weights)
            if count == 0:
                continue  # a batch whose words were all cut off teaches nothing
            mean = head.loss(logits, batch.targets, device_weights) / count
            optimizer.zero_grad()
            mean.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), settings.gradient_clip)
            optimizer.step()
            losses.add(mean, count)
        train_loss = losses.mean()
        outputs, dev_loss = evaluate(head, states, dev_split, device=device)
        if np.isnan(dev_loss):  # the last step's gradient was not finite, though its loss was
            raise TrainingError(
                f"the loss on dev became {dev_loss} in epoch {number}; lower learning_rate"
            )
        epoch = Epoch(number, train_loss, dev_loss, dev_score(outputs))
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
    losses: list[Tensor] = []
    total = labels = 0.0
    for batch, logits in score(head, states, split, device=device, targets=split.targets):
        with torch.inference_mode():
            losses.append(head.loss(logits, batch.targets))
        labels += head.loss_weight(batch.targets)
        for member, outputs in zip(
            batch.members, outputs_of(head, logits, batch.words), strict=True
        ):
            results[member] = outputs
    for loss in read_losses(losses):
        total += loss
    return [outputs for outputs in results if outputs is not None], total / max(labels, 1)


class _Losses:
    """The losses of an epoch's steps, read from the device some at a time: reading waits for it.

    Args:
        epoch: its number.
        unread: most that are not read.
        on_step: told each.
    """

    def __init__(self, epoch: int, unread: int, on_step: Callable[[float], object]) -> None:
        self._epoch, self._limit, self._on_step = epoch, unread, on_step
        self._unread: list[tuple[Tensor, float]] = []
        self._total = self._labels = 0.0

    def add(self, mean: Tensor, count: float) -> None:
        """Takes the loss of a step, a mean over ``count`` labels.

        Raises:
            TrainingError: one of those that are read now is not a finite number.
        """
        self._unread.append((mean.detach(), count))
        if len(self._unread) == self._limit:
            self._read()

    def mean(self) -> float:
        """The mean over all labels of the epoch.

        Raises:
            TrainingError: as for ``add``.
        """
        self._read()
        return self._total / max(self._labels, 1)

    def _read(self) -> None:
        if not self._unread:
            return
        values = read_losses([mean for mean, _ in self._unread])
        for value, (_, count) in zip(values, self._unread, strict=True):
            if not np.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {self._epoch}; lower learning_rate "
                    "or gradient_clip"
                )
            self._on_step(value)
            self._total += value * count
            self._labels += count
        self._unread.clear()


def read_losses(losses: Sequence[Tensor]) -> list[float]:
    """Losses as numbers, in one copy: the one thing in an epoch that waits for the device."""
    return torch.stack(list(losses)).tolist()
