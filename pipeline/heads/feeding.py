"""Batches of texts on their way to a head: what it reads of them, and their states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import tee
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.heads.indices import Indices, Staging
from pipeline.heads.model import Head
from pipeline.heads.packing import PackedBatch, pack_batch
from pipeline.heads.targets import Targets
from pipeline.heads.word_layout import WordLayout, lay_out_words
from pipeline.tasks.inputs import Inputs

Rows = npt.NDArray[np.int64]


class StatesSource(ABC):
    """Token states of rows; the same values however often they are read."""

    @abstractmethod
    def read(self, rows: Rows) -> Tensor:
        """(tokens of all rows, layers * width) float32: the rows' states one after another.

        They may be overwritten by the next call, and are no tensors of inference mode.
        """

    def read_in_turn(self, batches: Iterable[Rows], device: torch.device) -> Iterator[Tensor]:
        """Yields what ``read`` gives for each batch, on a device."""
        for rows in batches:
            yield self.read(rows).to(device)


@dataclass(frozen=True)
class HeadBatch:
    """A batch of examples, besides their states.

    Attributes:
        members: (batch,) int64 indices of the examples.
        tokens: layout of their tokens; of pairs apart, of 2 x batch texts.
        words: where their words stand, for tasks on words.
        targets: what is to be learnt of them; empty where nothing is.
    """

    members: npt.NDArray[np.int64]
    tokens: PackedBatch
    words: WordLayout | None
    targets: Targets

    @classmethod
    def of(
        cls,
        head: Head,
        inputs: Inputs,
        members: npt.NDArray[np.int64],
        device: torch.device,
        targets: Sequence[npt.NDArray[Any]] | None = None,
    ) -> HeadBatch:
        """The batch of some texts, for a head.

        Args:
            head: which reads it.
            inputs: of all texts.
            members: indices of the texts.
            device: where the head is.
            targets: of all texts, where there are any.
        """
        lengths = inputs.lengths_of(members)
        words = None
        if inputs.words is not None:
            words = lay_out_words([inputs.words[member] for member in members], lengths).to(device)
        wanted = Targets(np.zeros(0, np.int64), None, device)
        if targets is not None:
            values = np.concatenate([targets[member] for member in members])
            wanted = head.targets(values, words, device)
        return cls(members, pack_batch(lengths).to(device), words, wanted)

    @property
    def parts(self) -> Mapping[str, Indices]:
        """Everything that is read on the device, by name."""
        gold = self.targets.gold
        parts = {
            "tokens": self.tokens,
            "words": self.words,
            "targets": self.targets,
            "gold": gold,
            "sequences": None if gold is None else gold.sequences,
        }
        return {name: part for name, part in parts.items() if part is not None}


def feed(
    head: Head,
    states: StatesSource,
    inputs: Inputs,
    batches: Iterable[npt.NDArray[np.int64]],
    staging: Staging,
    targets: Sequence[npt.NDArray[Any]] | None = None,
) -> Iterator[tuple[HeadBatch, Tensor]]:
    """Yields batches with their states, (tokens, layers * width) float32, both on the device.

    A tensor of states may be overwritten when the next one is asked for.

    Args:
        head: which reads them.
        states: of all texts.
        inputs: of all texts.
        batches: indices of the texts of each batch.
        staging: to the device where the head is; it may have seen batches of this head before.
        targets: of all texts, where there are any.
    """
    # States may look further ahead than batches, of which the first must be seen at work.
    chosen, ahead = tee(batches)
    device = staging.device
    made = (HeadBatch.of(head, inputs, members, device, targets) for members in chosen)
    ready = staging(made, lambda batch: batch.parts)
    rows = (inputs.rows_of(members) for members in ahead)
    return zip(ready, states.read_in_turn(rows, device), strict=True)
