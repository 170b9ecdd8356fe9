"""The forward pass of a head over many texts, and what its logits say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.errors import TrainingError
from pipeline.core.kernels import MINIMUM_ROWS
from pipeline.heads.model import Head
from pipeline.heads.packing import pack_batch
from pipeline.heads.word_layout import WordLayout, lay_out_words
from pipeline.tasks.inputs import Inputs
from pipeline.tasks.label_type import LabelType, Row
from pipeline.tasks.words import Words

SCORING_BATCH = 32
"""Most texts per batch without gradients; outputs do not depend on it."""

SCORING_TOKENS = 1 << 12
"""Most tokens of such a batch, unless it has only as many texts as a step takes at least: long
texts then need no more memory than training on them."""


class StatesSource(Protocol):
    """Gives the token states of rows; the same values however often it is asked."""

    def read(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """(tokens of all rows, layers * width) float32: the rows' states one after another.

        They may be overwritten by the next call, and are no tensors of inference mode.
        """
        ...


@dataclass(frozen=True)
class Outputs:
    """Outputs of a head for one text.

    Attributes:
        values: (1, labels) float64, probabilities of a text's labels, or (1, 1) a number itself;
            (words, 1) the probability of each word's label.
        best: (1,) or (words,) int64, the likeliest label, or that of the likeliest sequence.
    """

    values: npt.NDArray[np.float64]
    best: npt.NDArray[np.int64]


def logits_of(
    head: Head,
    states: StatesSource,
    inputs: Inputs,
    members: npt.NDArray[np.int64],
    device: torch.device,
) -> tuple[Tensor, WordLayout | None]:
    """Logits of one batch of texts, and where its words stand, for a task on words.

    Args:
        members: indices of the texts.
    """
    lengths = inputs.lengths[members]
    tokens = states.read(inputs.rows[members]).to(device)
    batch = pack_batch(lengths).to(device)
    if inputs.words is None:
        return head(tokens, batch), None
    words = lay_out_words([inputs.words[member] for member in members], lengths).to(device)
    return head(tokens, batch, words), words


@torch.inference_mode()
def score(
    head: Head, states: StatesSource, inputs: Inputs, *, device: torch.device
) -> Iterator[tuple[npt.NDArray[np.int64], Tensor, WordLayout | None]]:
    """Yields batches of texts of nearly one length, with their logits, as ``logits_of``."""
    head.eval()
    for members in _scoring_batches(inputs.lengths):
        yield members, *logits_of(head, states, inputs, members, device)


def _scoring_batches(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yields every text once, as indices.

    The longest come first: memory that they needed does for all that follow.
    """
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        ahead = order[begin : begin + SCORING_BATCH]
        fitting = np.searchsorted(np.cumsum(lengths[ahead]), SCORING_TOKENS, side="right")
        members = ahead[: max(MINIMUM_ROWS, int(fitting))]
        yield members
        begin += len(members)


@torch.inference_mode()
def outputs_of(head: Head, logits: Tensor, words: WordLayout | None) -> list[Outputs]:
    """Outputs of each text from the logits of a batch."""
    values: npt.NDArray[np.float64]
    if head.crf is not None and words is not None:
        lengths = [length for length in words.lengths if length]
        values, best = np.zeros(tuple(logits.shape)), np.zeros(len(logits), np.int64)
        if lengths:
            values = head.crf.marginals(logits, lengths).cpu().numpy().astype(np.float64)
            best = head.crf.viterbi(logits, lengths)[0].cpu().numpy()
    else:
        values = head.label_type.probabilities(logits.cpu().numpy().astype(np.float64))
        best = values.argmax(1)
    counts: Sequence[int] = [1] * len(logits)
    if words is not None:
        counts, values = words.lengths, np.take_along_axis(values, best[:, None], 1)
    ends = np.cumsum(counts).tolist()
    return [
        Outputs(values[end - count : end], best[end - count : end])
        for count, end in zip(counts, ends, strict=True)
    ]


def answers(
    label_type: LabelType,
    names: Sequence[str],
    outputs: Sequence[Outputs],
    words: Sequence[Words] | None,
    thresholds: Mapping[str, float] | None = None,
) -> list[Row]:
    """Predictions of texts, ready for JSON, as their label type writes them.

    Args:
        label_type: of the head.
        names: the head's labels.
        outputs: what it gave for each text.
        words: the words of each, for labels on words.
        thresholds: of several labels per text, from which probability on it has each.

    Raises:
        TrainingError: a number is not finite, as of weights that are finite and absurd.
    """
    if not all(np.isfinite(one.values).all() for one in outputs):
        raise TrainingError(
            "the head gives numbers that are not finite: its training diverged, or its weights are "
            "damaged; lower learning_rate, or run `dvc checkout`"
        )
    return [
        label_type.answer(
            names,
            one.values,
            one.best,
            words=None if words is None else words[place],
            thresholds=thresholds,
        )
        for place, one in enumerate(outputs)
    ]
