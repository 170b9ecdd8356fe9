"""The forward pass of a head over many texts, and what its logits say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.core.errors import TrainingError
from pipeline.core.gpu_memory import naming_what_to_lower
from pipeline.core.kernels import MINIMUM_ROWS
from pipeline.heads import fused
from pipeline.heads.crf import LinearChainCRF
from pipeline.heads.feeding import HeadBatch, StatesSource, feed
from pipeline.heads.fused import exact_float32, is_fused
from pipeline.heads.indices import Staging
from pipeline.heads.model import Head
from pipeline.heads.word_layout import WordLayout
from pipeline.tasks.inputs import Inputs
from pipeline.tasks.label_type import LabelType, Row
from pipeline.tasks.words import Words

SCORING_BATCH = 32
"""Most texts per batch without gradients; outputs do not depend on it."""

SCORING_TOKENS = 1 << 12
"""Most tokens of such a batch, unless it has only as many texts as a step takes at least: long
texts then need no more memory than training on them."""

_BATCHES_AHEAD = 4
"""Batches whose indices go to a GPU in one copy: there, a batch is of thousands of texts."""


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
    batch = HeadBatch.of(head, inputs, members, device)
    tokens = states.read(inputs.rows_of(members)).to(device)
    return head(tokens, batch.tokens, batch.words), batch.words


@torch.inference_mode()
def score(
    head: Head,
    states: StatesSource,
    inputs: Inputs,
    *,
    device: torch.device,
    targets: Sequence[npt.NDArray[Any]] | None = None,
) -> Iterator[tuple[HeadBatch, Tensor]]:
    """Yields batches of texts of nearly one length, with their logits, as ``logits_of``.

    Args:
        targets: of all texts, where a loss is wanted.

    Raises:
        MachineError: the GPU's memory is full.
    """
    head.eval()
    advice = "while texts are scored; close what else uses the GPU, or set ICEHOUSE_DEVICE=cpu"
    with exact_float32(), naming_what_to_lower(device, advice):
        batches = _scoring_batches(head, inputs.tokens, device)
        for batch, tokens in feed(
            head, states, inputs, batches, Staging(device, ahead=_BATCHES_AHEAD), targets
        ):
            yield batch, head(tokens, batch.tokens, batch.words)


def _scoring_batches(
    head: Head, lengths: npt.NDArray[np.int64], device: torch.device
) -> Iterator[npt.NDArray[np.int64]]:
    """Yields every text once, as indices.

    The longest come first: memory that they needed does for all that follow.
    """
    texts, tokens = SCORING_BATCH, SCORING_TOKENS
    if is_fused(device):
        texts, tokens = fused.scoring_limits(device, bytes_per_token=_bytes_per_token(head))
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    while begin < len(order):
        ahead = order[begin : begin + texts]
        fitting = np.searchsorted(np.cumsum(lengths[ahead]), tokens, side="right")
        members = ahead[: max(MINIMUM_ROWS, int(fitting))]
        yield members
        begin += len(members)


def _bytes_per_token(head: Head) -> int:
    """Memory that scoring takes for a token, generously: states, gates, and outputs."""
    network = head.recurrent
    states = network.get_parameter("weight_ih_l0").shape[1] * (
        1 if head.mix is None else len(head.mix.weights)
    )
    return 4 * (3 * states + 12 * network.output_size)


@torch.inference_mode()
def outputs_of(head: Head, logits: Tensor, words: WordLayout | None) -> list[Outputs]:
    """Outputs of each text from the logits of a batch."""
    values: npt.NDArray[np.float64]
    if head.crf is not None and words is not None:
        values, best = _on_best_paths(head.crf, logits, words)
    else:
        values = head.label_type.probabilities(logits.cpu().numpy().astype(np.float64))
        best = values.argmax(1)
        if words is not None:
            values = np.take_along_axis(values, best[:, None], 1)
    counts = np.ones(len(logits), np.int64) if words is None else words.lengths
    ends = np.cumsum(counts).tolist()
    return [
        Outputs(values[end - count : end], best[end - count : end])
        for count, end in zip(counts.tolist(), ends, strict=True)
    ]


def _on_best_paths(
    crf: LinearChainCRF, logits: Tensor, words: WordLayout
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(words, 1) probabilities of the labels of the likeliest sequences, and (words,) the labels.

    Both come back in one copy.
    """
    if words.sequences is None:
        return np.zeros((0, 1)), np.zeros(0, np.int64)
    lengths = words.sequences.lengths.tolist()
    best, _ = crf.viterbi(logits, lengths)
    shares = crf.marginals(logits, lengths).gather(1, best[:, None])
    both = torch.cat((shares, best[:, None].to(shares.dtype)), 1).cpu().numpy()
    return both[:, :1].astype(np.float64), both[:, 1].astype(np.int64)


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
