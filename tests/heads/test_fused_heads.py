"""Heads on the path of a GPU, taken on a CPU, against the path of a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fused_heads import HEADS, everywhere
from launches import Launches
from pipelines import head_settings, new_head
from torch import Tensor

from pipeline.heads import fused
from pipeline.heads.dropout import dropout
from pipeline.heads.feeding import HeadBatch, StatesSource
from pipeline.heads.model import Head
from pipeline.heads.packing import pack_batch
from pipeline.heads.scoring import outputs_of, score
from pipeline.tasks.inputs import Inputs
from pipeline.tasks.label_type import IGNORE
from pipeline.tasks.words import Words

CPU = torch.device("cpu")
WIDTH, TEXTS = 8, 40
NAMES = ["B-x", "I-x", "O"]


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


class Held(StatesSource):
    """States of made-up texts."""

    def __init__(self, lengths: np.ndarray, width: int) -> None:
        self.texts = [torch.randn(int(length), width) for length in lengths]

    def read(self, rows: np.ndarray) -> Tensor:
        return torch.cat([self.texts[row] for row in rows])


def made(name: str, **recurrent: Any) -> tuple[Head, Inputs, Held, list[np.ndarray]]:
    """A head, texts of 2 to 30 tokens, their states, and targets; the first has no word."""
    task, changes = HEADS[name]
    changes = {**changes, "recurrent": {**changes.get("recurrent", {}), **recurrent}}
    settings = head_settings(task, **changes)
    head = new_head(settings, [] if task == "regression" else NAMES, width=WIDTH)
    if head.crf is not None:
        for parameter in head.crf.parameters():
            torch.nn.init.normal_(parameter)
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 31, TEXTS)
    lengths[0] = 2
    states = Held(lengths, WIDTH * len(settings.layers))
    if task == "token_classification":
        words = []
        for length in lengths:
            inner = np.sort(rng.integers(0, max(1, length // 2), length - 2)).astype(np.int32)
            words.append(Words.of(np.array([-1, *inner, -1], np.int32), int(length)))
        targets = [rng.integers(0, 3, int(w.with_token.sum())) for w in words]
        targets[3][:2] = IGNORE
        return head, Inputs(np.arange(TEXTS), lengths, words), states, targets
    if task == "sequence_classification":
        targets = list(rng.integers(0, 3, (TEXTS, 1)))
    else:
        columns = 1 if task == "regression" else 3
        targets = list(rng.integers(0, 2, (TEXTS, 1, columns)).astype(np.float32))
    return head, Inputs(np.arange(TEXTS), lengths, None), states, targets


def learnt(
    head: Head, inputs: Inputs, states: Held, targets: list[np.ndarray]
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Logits, loss and gradients of a batch."""
    head.train().zero_grad()
    members = np.arange(20)
    batch = HeadBatch.of(head, inputs, members, CPU, targets)
    logits = head(states.read(members), batch.tokens, batch.words)
    loss = head.loss(logits, batch.targets)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in head.named_parameters() if p.grad is not None}
    return logits.detach(), loss.detach(), gradients


@pytest.mark.parametrize("name", HEADS)
def test_logits_loss_and_gradients_are_those_of_a_cpu(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = made(name, dropout=0.0)
    logits, loss, gradients = learnt(*given)
    everywhere(monkeypatch)
    other_logits, other_loss, others = learnt(*given)
    torch.testing.assert_close(other_logits, logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other_loss, loss, rtol=1e-5, atol=1e-4)
    assert others.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(others[parameter], gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_all_texts_are_scored_in_one_batch_and_as_on_a_cpu(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, inputs, states, _ = made(name)

    def scored() -> tuple[int, dict[int, Any]]:
        found: dict[int, Any] = {}
        batches = 0
        for batch, logits in score(head, states, inputs, device=CPU):
            outputs = outputs_of(head, logits, batch.words)
            found |= dict(zip(batch.members.tolist(), outputs, strict=True))
            batches += 1
        return batches, found

    _, expected = scored()
    everywhere(monkeypatch)
    batches, found = scored()
    assert batches == 1
    for text in range(TEXTS):
        np.testing.assert_array_equal(found[text].best, expected[text].best)
        np.testing.assert_allclose(found[text].values, expected[text].values, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in HEADS if name != "CRF"])
def test_scoring_waits_for_nothing_but_its_logits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CRF looks at its sums whether they are exact, once for a batch of thousands of texts."""
    everywhere(monkeypatch)
    head, inputs, states, targets = made(name)
    with Launches() as counted:
        for batch, logits in score(head, states, inputs, device=CPU, targets=targets):
            head.loss(logits, batch.targets)
            outputs_of(head, logits, batch.words)
    assert counted.operations > 5
    assert not counted.waits


def test_memory_bounds_a_scoring_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(fused, "free_bytes", lambda _: 4_000_000)
    assert fused.scoring_limits(gpu, bytes_per_token=1000) == (fused.SCORING_TEXTS, 1000)
    monkeypatch.setattr(fused, "free_bytes", lambda _: 1 << 40)
    assert fused.scoring_limits(gpu, bytes_per_token=1000)[1] == fused.SCORING_TOKENS


@pytest.mark.parametrize("locked", [True, False])
def test_dropout_of_the_library_drops_as_ours_does(
    locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(monkeypatch)
    lengths = [300, 1, 200, 400]
    values = torch.ones(sum(lengths), 50)
    dropped = dropout(values, 0.4, pack_batch(lengths) if locked else None)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.6).item()}
    distinct = [len(text.unique(dim=0)) for text in dropped.split(lengths)]
    assert distinct == [1] * 4 if locked else min(distinct[::2]) > 100
