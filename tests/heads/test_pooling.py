"""Each pooling against the plain computation over ``torch.nn.LSTM``'s outputs, a text at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.heads.packing import pack_batch
from pipeline.heads.pooling import AttentionPooling, max_of_texts, pool, sum_of_texts
from pipeline.heads.recurrent import RecurrentNetwork

POOLINGS = ["cls", "last", "mean", "max", "mean_max", "attention"]
TORCH = {"lstm": nn.LSTM, "gru": nn.GRU}
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=20)


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def network(cell: str, *, width: int, hidden: int, layers: int = 1, both: bool = True):
    return RecurrentNetwork(
        cell=cell,
        input_size=width,
        hidden_size=hidden,
        num_layers=layers,
        bidirectional=both,
        dropout=0.0,
        locked_dropout=False,
    )


def plainly(theirs: nn.Module, text: Tensor, pooling: str, query: nn.Linear | None) -> Tensor:
    """(width,) for one text of (tokens, input_size)."""
    outputs, state = theirs(text[:, None])
    outputs = outputs[:, 0]
    hidden = state[0] if isinstance(state, tuple) else state
    directions = 2 if theirs.bidirectional else 1
    if pooling == "attention":
        assert query is not None
        return (query(outputs).softmax(0) * outputs).sum(0)
    return {
        "cls": outputs[0],
        "last": hidden[-directions:, 0].flatten(),
        "mean": outputs.mean(0),
        "max": outputs.amax(0),
        "mean_max": torch.cat([outputs.mean(0), outputs.amax(0)]),
    }[pooling]


@pytest.mark.parametrize("pooling", POOLINGS)
@settings(max_examples=20, deadline=None)
@given(
    lengths=LENGTHS,
    cell=st.sampled_from(["lstm", "gru"]),
    layers=st.integers(1, 2),
    both=st.booleans(),
)
def test_values_and_gradients_equal_the_plain_computation(
    pooling: str, lengths: list[int], cell: str, layers: int, both: bool
) -> None:
    ours = network(cell, width=7, hidden=5, layers=layers, both=both).double()
    theirs = TORCH[cell](7, 5, num_layers=layers, bidirectional=both).double()
    theirs.load_state_dict(ours.state_dict())
    attention = query = None
    if pooling == "attention":
        attention = AttentionPooling(ours.output_size).double()
        query = nn.Linear(ours.output_size, 1).double()
        query.load_state_dict(attention.query.state_dict())
    tokens = torch.randn(sum(lengths), 7, dtype=torch.float64, requires_grad=True)
    again = tokens.detach().clone().requires_grad_()

    pooled = pool(ours, tokens, pack_batch(lengths), pooling, attention)
    expected = torch.stack([plainly(theirs, t, pooling, query) for t in again.split(lengths)])
    torch.testing.assert_close(pooled, expected, rtol=1e-12, atol=1e-12)

    weights = torch.randn_like(pooled)
    (pooled * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(tokens.grad, again.grad, rtol=1e-10, atol=1e-12)
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(
            ours.get_parameter(name).grad, parameter.grad, rtol=1e-10, atol=1e-12
        )
    if attention is not None and query is not None:
        gradients = attention.query.weight.grad, query.weight.grad
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_attention_follows_a_query_however_steep() -> None:
    attention = AttentionPooling(16)
    with torch.no_grad():
        attention.query.weight.fill_(1e4)
    outputs = torch.randn(9, 16)
    batch = pack_batch([4, 5])
    best = [int(part.sum(1).argmax()) for part in outputs.split([4, 5])]
    expected = torch.stack([outputs[best[0]], outputs[4 + best[1]]])
    torch.testing.assert_close(attention(outputs, batch), expected)


@given(LENGTHS)
def test_sums_and_maxima_of_texts_are_over_their_own_tokens(lengths: list[int]) -> None:
    values = torch.randn(sum(lengths), 3, dtype=torch.float64)
    batch = pack_batch(lengths)
    parts = values.split(lengths)
    sums, highest = sum_of_texts(values, batch), max_of_texts(values, batch)
    torch.testing.assert_close(sums, torch.stack([part.sum(0) for part in parts]))
    assert torch.equal(highest, torch.stack([part.amax(0) for part in parts]))


def test_gradients_of_sums_are_those_of_finite_differences() -> None:
    batch = pack_batch([3, 1, 4])
    values = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: sum_of_texts(values, batch), (values,))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("cell", "width", "hidden"), [("lstm", 64, 48), ("gru", 20, 16), ("lstm", 384, 160)]
)
def test_a_text_is_pooled_to_the_same_bits_alone_and_in_company(
    cell: str,
    width: int,
    hidden: int,
    pooling: str,
    threads: int,
    set_threads: Callable[[int], None],
) -> None:
    ours = network(cell, width=width, hidden=hidden)
    attention = AttentionPooling(ours.output_size) if pooling == "attention" else None
    lengths = torch.randint(1, 80, (72,)).tolist()
    texts = [torch.randn(length, width) for length in lengths]
    set_threads(threads)

    def pooled(chosen: list[int]) -> Tensor:
        batch = pack_batch([lengths[text] for text in chosen])
        return pool(ours, torch.cat([texts[text] for text in chosen]), batch, pooling, attention)

    with torch.inference_mode():
        expected = pooled(list(range(len(texts))))
        for size in (1, 1, 2, 5, 15, 16, 17, 33):
            chosen = torch.randperm(len(texts))[:size].tolist()
            assert torch.equal(pooled(chosen), expected[chosen])
