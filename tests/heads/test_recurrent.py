"""The recurrent network against ``torch.nn.LSTM`` and ``torch.nn.GRU``, a sequence at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.heads.packing import pack_batch
from pipeline.heads.recurrent import RecurrentNetwork

TORCH = {"lstm": nn.LSTM, "gru": nn.GRU}
WIDTH, HIDDEN = 7, 5


def network(
    cell: str,
    *,
    layers: int = 1,
    both: bool = True,
    width: int = WIDTH,
    hidden: int = HIDDEN,
    dropout: float = 0.0,
    locked: bool = False,
) -> RecurrentNetwork:
    return RecurrentNetwork(
        cell=cell,
        input_size=width,
        hidden_size=hidden,
        num_layers=layers,
        bidirectional=both,
        dropout=dropout,
        locked_dropout=locked,
    )


def twin(ours: RecurrentNetwork, cell: str, layers: int, both: bool) -> nn.Module:
    """Torch's own network with the same weights."""
    theirs = TORCH[cell](WIDTH, HIDDEN, num_layers=layers, bidirectional=both)
    theirs.to(next(ours.parameters()).dtype).load_state_dict(ours.state_dict())
    return theirs


def alone(theirs: nn.Module, tokens: Tensor, lengths: list[int]) -> Tensor:
    return torch.cat([theirs(part[:, None])[0][:, 0] for part in tokens.split(lengths)])


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    cell=st.sampled_from(["lstm", "gru"]),
    layers=st.integers(1, 3),
    both=st.booleans(),
)
def test_outputs_and_all_gradients_equal_torch_on_each_sequence_alone(
    dtype: torch.dtype, tolerance: float, lengths: list[int], cell: str, layers: int, both: bool
) -> None:
    ours = network(cell, layers=layers, both=both).to(dtype)
    theirs = twin(ours, cell, layers, both)
    tokens = torch.randn(sum(lengths), WIDTH, dtype=dtype, requires_grad=True)
    again = tokens.detach().clone().requires_grad_()

    outputs = ours(tokens, pack_batch(lengths))
    expected = alone(theirs, again, lengths)
    weights = torch.randn_like(outputs)
    (outputs * weights).sum().backward()
    (expected * weights).sum().backward()

    torch.testing.assert_close(outputs, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(tokens.grad, again.grad, rtol=tolerance, atol=tolerance * 10)
    for name, parameter in theirs.named_parameters():
        gradient = ours.get_parameter(name).grad
        torch.testing.assert_close(gradient, parameter.grad, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [True, False])
def test_outputs_at_first_tokens_equal_a_full_pass(cell: str, layers: int, both: bool) -> None:
    ours = network(cell, layers=layers, both=both).double()
    lengths = [3, 1, 9, 4, 9]
    tokens = torch.randn(sum(lengths), WIDTH, dtype=torch.float64)
    batch = pack_batch(lengths)
    full = ours(tokens, batch)[batch.first_tokens]
    torch.testing.assert_close(ours.at_first_tokens(tokens, batch), full, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gradients_at_first_tokens_equal_those_of_a_full_pass(cell: str) -> None:
    ours = network(cell, layers=2).double()
    lengths = [3, 1, 9, 4]
    tokens = torch.randn(sum(lengths), WIDTH, dtype=torch.float64)
    batch = pack_batch(lengths)
    gradients = []
    for outputs in (ours.at_first_tokens(tokens, batch), ours(tokens, batch)[batch.first_tokens]):
        ours.zero_grad()
        outputs.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in ours.parameters()])
    for short, full in zip(*gradients, strict=True):
        torch.testing.assert_close(short, full, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_outputs_are_the_same_bits_whatever_the_batch(cell: str, threads: int) -> None:
    ours = network(cell, layers=2, width=64, hidden=48)
    lengths = torch.randint(1, 40, (80,)).tolist()
    texts = [torch.randn(length, 64) for length in lengths]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            expected = ours(torch.cat(texts), pack_batch(lengths)).split(lengths)
            for size in (1, 2, 5, 15, 16, 17, 33):
                chosen = torch.randperm(len(texts))[:size].tolist()
                some = [lengths[text] for text in chosen]
                outputs = ours(torch.cat([texts[text] for text in chosen]), pack_batch(some))
                for text, output in zip(chosen, outputs.split(some), strict=True):
                    assert torch.equal(output, expected[text])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_parameters_have_torchs_names_shapes_and_initial_range(cell: str) -> None:
    ours, theirs = network(cell, layers=2), TORCH[cell](WIDTH, HIDDEN, 2, bidirectional=True)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in theirs.named_parameters()
    }
    bound = HIDDEN**-0.5
    assert all(parameter.abs().max() <= bound for parameter in ours.parameters())


def test_dropout_between_layers_acts_in_training_only() -> None:
    ours = network("lstm", layers=2, dropout=0.5)
    tokens, batch = torch.randn(20, WIDTH), pack_batch([20])
    assert not torch.equal(ours.train()(tokens, batch), ours(tokens, batch))
    assert torch.equal(ours.eval()(tokens, batch), ours(tokens, batch))
