"""The bare loop: ``nn.LSTM`` over packed sequences, with nothing around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from benchmarks.gpu.device import synchronise
from benchmarks.gpu.head_work import SEED, HeadWork
from pipeline.heads.fused import exact_float32


class BareHead(nn.Module):
    """``nn.LSTM`` and a linear layer over packed sequences: what anyone would write."""

    def __init__(self, work: HeadWork) -> None:
        super().__init__()
        settings = work.settings.recurrent
        self.lstm = nn.LSTM(
            work.states.shape[1],
            settings.hidden_size,
            settings.num_layers,
            bidirectional=settings.bidirectional,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(settings.hidden_size * 2, len(work.names))

    def forward(self, packed: PackedSequence, places: Tensor) -> Tensor:
        """(places, labels) logits at some tokens, which are counted in packed order."""
        outputs = self.lstm(packed)[0].data.index_select(0, places)
        return self.output(self.dropout(outputs))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class BareLabels:
    """What is to be learnt in a step, on the device.

    Attributes:
        places: of the tokens that a label is given for, in packed order.
        targets: their labels.
    """

    places: Tensor
    targets: Tensor

    @classmethod
    def of(cls, work: HeadWork, members: npt.NDArray[np.int64]) -> BareLabels:
        """For the first token of each text, or of each of its words."""
        read = []
        for member in members.tolist():
            flags = torch.zeros(int(work.split.lengths[member]), dtype=torch.bool)
            words = None if work.split.words is None else work.split.words[member]
            flags[[0] if words is None else words.first[words.with_token].astype(np.int64)] = True
            read.append(flags)
        places = pack_sequence(read, enforce_sorted=False).data.nonzero()[:, 0]
        targets = torch.arange(len(places)) % len(work.names)
        return cls(places.to(work.device), targets.to(work.device))


BareBatch = tuple[PackedSequence, BareLabels]


def bare_epoch(work: HeadWork) -> Callable[[], None]:
    """An epoch of bare steps: nothing is copied or read back while it runs."""
    held = work.held()
    batches: list[BareBatch] = []
    for members in work.batches():
        tokens = held.read(work.split.rows[members])
        texts = tokens.split(work.split.lengths[members].tolist())
        sequences = pack_sequence(list(texts), enforce_sorted=False)
        batches.append((sequences, BareLabels.of(work, members)))
    return lambda: train_bare(work, batches)


@exact_float32()
def train_bare(work: HeadWork, batches: Iterable[BareBatch]) -> None:
    """AdamW and clipping, as in the project's loop, over batches."""
    torch.manual_seed(SEED)
    head = BareHead(work).to(work.device)
    training = work.settings.training
    optimizer = torch.optim.AdamW(
        head.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,
    )
    for sequences, labels in batches:
        loss = F.cross_entropy(head(sequences, labels.places), labels.targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), training.gradient_clip)
        optimizer.step()
    synchronise(work.device)
