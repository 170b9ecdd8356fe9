"""Pairs read apart: what two vectors are joined to, and that it is a pair's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import head_settings, label_type_of
from torch.nn import functional as F

from pipeline.heads import scoring
from pipeline.heads.feeding import StatesSource
from pipeline.heads.model import Head
from pipeline.heads.packing import pack_batch
from pipeline.heads.pairs import join_pairs, joined_size
from pipeline.heads.scoring import Outputs, logits_of, outputs_of, score
from pipeline.heads.weights import weight_shapes
from pipeline.tasks.inputs import Inputs

CPU = torch.device("cpu")
WIDTH, PAIRS = 64, 50
NAMES = ["x", "y", "z"]
HEADS: list[tuple[str, dict[str, Any]]] = [
    ("sequence_classification", {}),
    ("sequence_classification", {"pooling": "attention"}),
    ("sequence_classification", {"pooling": "max", "recurrent": {"hidden_size": 23}}),
    ("multilabel_classification", {"pooling": "last", "recurrent": {"cell": "gru"}}),
    ("regression", {"pooling": "mean", "recurrent": {"hidden_size": 128}}),
    ("regression", {"recurrent": {"bidirectional": False, "num_layers": 2}}),
]


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_two_vectors_are_joined_to_both_their_differences_products_and_cosine() -> None:
    u, v = torch.randn(9, 12), torch.randn(9, 12)
    joined = join_pairs(torch.stack([u, v], 1).flatten(0, 1))
    assert joined.shape == (9, joined_size(12))
    assert torch.equal(joined[:, :48], torch.cat([u, v, (u - v).abs(), u * v], 1))
    torch.testing.assert_close(joined[:, 48], F.cosine_similarity(u, v))


@pytest.mark.parametrize("which", ["first", "second", "both"])
def test_the_cosine_of_nothing_is_zero_and_its_gradient_a_number(which: str) -> None:
    vectors = torch.randn(6, 8)
    vectors[{"first": [0, 2], "second": [1, 3], "both": [0, 1, 2, 3]}[which]] = 0
    vectors.requires_grad_()
    joined = join_pairs(vectors)
    assert joined[:2, -1].tolist() == [0, 0]
    joined.sum().backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
    assert vectors.grad[4:].abs().sum() > 0


def test_gradients_are_those_of_the_formula() -> None:
    vectors = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(join_pairs, (vectors,))


@settings(deadline=None)
@given(
    pairs=st.integers(1, 70),
    size=st.integers(1, 300),
    place=st.integers(0, 1000),
    seed=st.integers(0, 1000),
)
def test_what_a_pair_is_joined_to_is_its_own_to_the_last_bit(
    pairs: int, size: int, place: int, seed: int
) -> None:
    vectors = torch.randn(2 * pairs, size, generator=torch.Generator().manual_seed(seed))
    one = place % pairs
    alone = join_pairs(vectors[2 * one : 2 * one + 2])
    assert torch.equal(join_pairs(vectors)[one], alone[0])


class Held(StatesSource):
    """States of made-up texts."""

    def __init__(self, lengths: np.ndarray) -> None:
        generator = torch.Generator().manual_seed(0)
        self.texts = [torch.randn(int(n), WIDTH, generator=generator) for n in lengths]

    def read(self, rows: np.ndarray) -> torch.Tensor:
        assert rows.ndim == 1
        return torch.cat([self.texts[row] for row in rows])


def make_head(task: str, **changes: Any) -> Head:
    row = head_settings(
        task, **{**changes, "recurrent": {"dropout": 0.5, **changes.get("recurrent", {})}}
    )
    names = [] if task == "regression" else NAMES
    return Head.build(row, label_type_of(row), names, width=WIDTH, pairs_apart=True).train()


def made_pairs() -> tuple[Inputs, Held]:
    """Pairs of texts of 2 to 40 tokens, several of which share a text."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 41, PAIRS)
    rows = rng.integers(0, PAIRS, (PAIRS, 2))
    return Inputs(rows, lengths[rows], None), Held(lengths)


def all_outputs(head: Head, states: Held, inputs: Inputs) -> list[Outputs]:
    found: dict[int, Outputs] = {}
    for batch, logits in score(head, states, inputs, device=CPU):
        found |= dict(zip(batch.members.tolist(), outputs_of(head, logits, None), strict=True))
    assert len(found) == PAIRS
    return [found[member] for member in range(PAIRS)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("task", "changes"), HEADS)
def test_outputs_do_not_depend_on_the_batch(
    task: str,
    changes: dict[str, Any],
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
    set_threads: Callable[[int], None],
) -> None:
    head = make_head(task, **changes)
    inputs, states = made_pairs()
    set_threads(threads)
    expected = all_outputs(head, states, inputs)
    for size in (1, 5, 17):
        monkeypatch.setattr(scoring, "SCORING_BATCH", size)
        monkeypatch.setattr(scoring, "MINIMUM_ROWS", size)
        for one, other in zip(expected, all_outputs(head, states, inputs), strict=True):
            np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize(("task", "changes"), HEADS)
def test_a_pair_is_read_as_two_texts_by_one_network(task: str, changes: dict[str, Any]) -> None:
    head = make_head(task, **changes).eval()
    inputs, states = made_pairs()
    members = np.arange(7)
    logits, _ = logits_of(head, states, inputs, members, CPU)
    single = Head.build(
        row := head_settings(task, **changes), label_type_of(row), NAMES, width=WIDTH
    ).eval()
    shared = {
        n: p for n, p in head.state_dict().items() if n.startswith(("recurrent", "attention"))
    }
    single.load_state_dict(shared, strict=False)
    single.output = torch.nn.Identity()  # type: ignore[assignment]
    single.scaled = False
    vectors = [
        single(states.read(inputs.rows[:7, place]), pack_batch(inputs.lengths[:7, place]))
        for place in range(2)
    ]
    expected = head.output(join_pairs(torch.stack(vectors, 1).flatten(0, 1)))
    torch.testing.assert_close(logits, expected)


def test_padded_pairs_stand_one_text_after_the_other() -> None:
    head = make_head("sequence_classification").eval()
    inputs, states = made_pairs()
    logits, _ = logits_of(head, states, inputs, np.arange(5), CPU)
    lengths = torch.from_numpy(inputs.lengths[:5].ravel())
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    hidden = torch.zeros(*mask.shape, WIDTH)
    hidden[mask] = states.read(inputs.rows[:5].ravel())
    torch.testing.assert_close(head.padded(hidden, mask), logits)


@pytest.mark.parametrize(("task", "changes"), HEADS)
def test_shapes_of_weights_are_those_of_the_head(task: str, changes: dict[str, Any]) -> None:
    row = head_settings(task, **changes)
    head = make_head(task, **changes)
    names = [] if task == "regression" else NAMES
    shapes = weight_shapes(row, label_type_of(row), names, width=WIDTH, pairs_apart=True)
    assert dict(shapes) == {name: tuple(value.shape) for name, value in head.state_dict().items()}


def test_labels_of_words_have_no_pairs() -> None:
    row = head_settings("token_classification")
    with pytest.raises(ValueError, match="texts are pairs"):
        list(weight_shapes(row, label_type_of(row), ["O"], width=WIDTH, pairs_apart=True))


def test_tokens_are_those_of_both_texts() -> None:
    inputs, _ = made_pairs()
    assert inputs.pairs_apart
    assert inputs.tokens.tolist() == inputs.lengths.sum(1).tolist()
    assert inputs.rows_of(np.array([3, 1])).tolist() == [*inputs.rows[3], *inputs.rows[1]]
    single = Inputs(np.arange(4), np.array([5, 6, 7, 8]), None)
    assert not single.pairs_apart
    assert single.tokens.tolist() == [5, 6, 7, 8]
