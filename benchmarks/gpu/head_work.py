"""What heads learn from here: real rows with made-up states and labels, in the project's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.corpora import PARAMS
from benchmarks.gpu.device import heads_as_on, synchronise
from benchmarks.gpu.inputs import Bench
from benchmarks.measure import interleaved
from pipeline.core.params import ParamsFile
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.features.reader import Features
from pipeline.heads.feeding import StatesSource
from pipeline.heads.model import Head
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.dataset import Split
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.ragged import Ragged
from pipeline.tasks.words import TextWords, Words
from pipeline.training.batches import epoch_batches
from pipeline.training.gpu_states import HeldStates, on_device
from pipeline.training.loop import train
from pipeline.training.states import MappedStates

SEED = 13

_ROWS = 512
"""Different texts of an epoch: more take longer to make up than to learn from."""

_ENTITIES = ("company", "person", "place")
_TOPICS = ("business", "politics", "sport")


@dataclass(frozen=True)
class HeadWork:
    """One default head of ``params.yaml`` and an epoch of examples.

    Attributes:
        settings: of the head.
        label_type: what it learns.
        names: its labels.
        split: the examples.
        rows: their tokens; several examples may be of one row.
        states: (tokens of all rows, width) float16, on the CPU.
        offsets: (rows + 1,) int64, the first token of each row.
        device: where it learns.
    """

    settings: HeadSettings
    label_type: LabelType
    names: list[str]
    split: Split
    rows: Sequence[TokenisedRow]
    states: Tensor
    offsets: npt.NDArray[np.int64]
    device: torch.device

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.split) // self.settings.training.batch_size)

    def held(self) -> HeldStates:
        """The states, on the device."""
        return HeldStates([on_device([self.states], self.device)], self.offsets)

    def mapped(self) -> MappedStates:
        """The states, as if they were files."""
        features = SimpleNamespace(
            layer_shards=lambda _: [self.states.numpy()],
            row_offsets=self.offsets,
            width=self.states.shape[1],
        )
        return MappedStates(cast("Features", features), [0])

    def batches(self) -> Iterable[npt.NDArray[np.int64]]:
        """The examples of each step of the first epoch."""
        return epoch_batches(
            self.split.rows,
            self.split.lengths,
            batch_size=self.settings.training.batch_size,
            rng=np.random.default_rng([SEED, 1]),
        )


def head_work(
    bench: Bench, name: str, *, steps: int, width: int, max_length: int = 128, crf: bool = False
) -> HeadWork:
    """An epoch of a default head, with states of a width.

    Args:
        bench: whose texts are read.
        name: ``tweet_entities`` or ``news_topic``.
        steps: of the epoch.
        max_length: at which texts are cut.
        crf: whether labels of words are decided together.
    """
    settings = ParamsFile(PARAMS).section(HeadSettings, "heads", name)
    label_type = settings.label_type("bio" if settings.on_words else "class")
    rows = bench.rows(settings.corpus, max_length=max_length)[:_ROWS]
    settings = settings.resolved(label_type).model_copy(update={"crf": crf or settings.crf})
    if bench.rehearsal:
        settings = _tiny(settings)
    count = steps * settings.training.batch_size
    members = np.resize(np.arange(len(rows)), count).astype(np.int64)
    lengths = np.array([row.length for row in rows], np.int64)
    rng = np.random.default_rng(SEED)
    names, words = sorted(_TOPICS), None
    counts = np.ones(count, np.int64)
    if settings.on_words:
        names = sorted(["O", *(f"{side}-{name}" for side in "BI" for name in _ENTITIES)])
        found = [Words.of(rows[row].word_index, rows[row].words) for row in members.tolist()]
        words = TextWords(found, tokens=int(lengths.max()))
        counts = np.array([int(one.with_token.sum()) for one in found])
    # Any of these may follow any other: a CRF knows which sequences there are.
    allowed = [place for place, name in enumerate(names) if not name.startswith("I-")]
    targets = Ragged.of((rng.choice(allowed, size) for size in counts), np.int64)
    states = rng.standard_normal((int(lengths.sum()), width), np.float32).astype(np.float16)
    return HeadWork(
        settings=settings,
        label_type=label_type,
        names=names,
        split=Split(
            rows=members,
            lengths=lengths[members],
            words=words,
            ids=[str(number) for number in range(count)],
            targets=targets,
            gold=[None] * count,
        ),
        rows=rows,
        states=torch.from_numpy(states),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        device=bench.device,
    )


def _tiny(settings: HeadSettings) -> HeadSettings:
    recurrent = settings.recurrent.model_copy(update={"hidden_size": 8})
    training = settings.training.model_copy(update={"batch_size": 4})
    return settings.model_copy(update={"recurrent": recurrent, "training": training})


def part_of(split: Split, members: Sequence[int]) -> Split:
    """Some examples of a split."""
    chosen = np.array(members, np.int64)
    return Split(
        rows=split.rows[chosen],
        lengths=split.lengths[chosen],
        words=None if split.words is None else [split.words[member] for member in members],
        ids=[split.ids[member] for member in members],
        targets=[split.targets[member] for member in members],
        gold=[split.gold[member] for member in members],
    )


def new_head(work: HeadWork) -> Head:
    """The head with its seed's weights, on the device."""
    torch.manual_seed(SEED)
    head = Head.build(work.settings, work.label_type, work.names, width=work.states.shape[1])
    return head.to(work.device)


def our_epoch(work: HeadWork, states: StatesSource) -> Head:
    """An epoch of the project's training loop, with one example in place of a dev split."""
    head = new_head(work)
    with heads_as_on(work.device):
        train(
            head,
            states,
            train_split=work.split,
            dev_split=part_of(work.split, [0]),
            dev_score=len,
            settings=work.settings.training.model_copy(update={"epochs": 1}),
            seed=SEED,
            device=work.device,
            report=repr,
        )
    synchronise(work.device)
    return head


def step_ms(
    bench: Bench, work: HeadWork, epochs: Mapping[str, Callable[[], object]]
) -> dict[str, Any]:
    """Milliseconds of a step of each contestant, from the median of its epochs."""
    seconds = interleaved(epochs, rounds=bench.rounds)
    return {f"{name}_ms": 1e3 * value / work.steps for name, value in seconds.items()}


def same_weights(first: Head, second: Head) -> dict[str, Any]:
    """Whether two heads have the same bits, and how far they are apart."""
    pairs = [(a, second.state_dict()[name]) for name, a in first.state_dict().items()]
    return {
        "same": all(torch.equal(a, b) for a, b in pairs),
        "largest_difference": max(float((a - b).abs().max()) for a, b in pairs),
    }
