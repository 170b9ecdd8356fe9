"""The recurrent network against ``torch.nn.LSTM`` and ``torch.nn.GRU``, a sequence at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.heads.packing import PackedBatch, pack_batch
from pipeline.heads.recurrent import RecurrentNetwork

Run = Callable[[Tensor, PackedBatch], Tensor]
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


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    cell=st.sampled_from(["lstm", "gru"]),
    layers=st.integers(1, 3),
    both=st.booleans(),
)
def test_final_states_and_their_gradients_equal_torchs_on_each_sequence_alone(
    dtype: torch.dtype, tolerance: float, lengths: list[int], cell: str, layers: int, both: bool
) -> None:
    ours = network(cell, layers=layers, both=both).to(dtype)
    theirs = twin(ours, cell, layers, both)
    tokens = torch.randn(sum(lengths), WIDTH, dtype=dtype)
    expected = []
    for part in tokens.split(lengths):
        hidden = theirs(part[:, None])[1]
        last = hidden[0] if cell == "lstm" else hidden
        expected.append(last[-2 if both else -1 :, 0].flatten())
    states = ours.final_states(tokens, pack_batch(lengths))
    torch.testing.assert_close(states, torch.stack(expected), rtol=tolerance, atol=tolerance)
    weights = torch.randn_like(states)
    (states * weights).sum().backward()
    (torch.stack(expected) * weights).sum().backward()
    for name, parameter in theirs.named_parameters():
        gradient = ours.get_parameter(name).grad
        torch.testing.assert_close(gradient, parameter.grad, rtol=tolerance, atol=tolerance * 10)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=2, max_size=20),
    cell=st.sampled_from(["lstm", "gru"]),
    shuffle=st.randoms(use_true_random=False),
)
def test_the_order_of_a_batch_is_the_order_of_its_outputs(
    lengths: list[int], cell: str, shuffle: Random
) -> None:
    ours = network(cell, layers=2)
    tokens = torch.randn(sum(lengths), WIDTH)
    order = list(range(len(lengths)))
    shuffle.shuffle(order)
    parts = tokens.split(lengths)
    expected = ours(tokens, pack_batch(lengths)).split(lengths)
    some = [lengths[text] for text in order]
    outputs = ours(torch.cat([parts[text] for text in order]), pack_batch(some)).split(some)
    for text, output in zip(order, outputs, strict=True):
        assert torch.equal(output, expected[text])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("hidden", [128, 160])
def test_outputs_and_gradients_of_real_sizes_equal_torchs(cell: str, hidden: int) -> None:
    ours = network(cell, width=384, hidden=hidden)
    theirs = TORCH[cell](384, hidden, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    lengths = [30, 1, 17, 8]
    tokens = torch.randn(sum(lengths), 384)
    outputs, expected = ours(tokens, pack_batch(lengths)), alone(theirs, tokens, lengths)
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn_like(outputs)
    (outputs * weights).sum().backward()
    (expected * weights).sum().backward()
    for name, parameter in theirs.named_parameters():
        gradient = ours.get_parameter(name).grad
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-4)


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


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("cell", "width", "hidden", "layers"),
    [
        ("lstm", 64, 48, 2),
        ("gru", 64, 48, 2),
        ("lstm", 20, 16, 3),
        ("lstm", 384, 128, 1),
        ("gru", 384, 128, 1),
        ("lstm", 384, 160, 1),
        ("gru", 384, 160, 1),
        ("lstm", 1536, 64, 1),
    ],
)
def test_outputs_are_the_same_bits_whatever_the_batch(
    cell: str,
    width: int,
    hidden: int,
    layers: int,
    threads: int,
    set_threads: Callable[[int], None],
) -> None:
    ours = network(cell, layers=layers, width=width, hidden=hidden)
    lengths = torch.randint(1, 25, (72,)).tolist()
    texts = [torch.randn(length, width) for length in lengths]
    set_threads(threads)
    for per_text, run in (
        (False, ours),
        (True, ours.at_first_tokens),
        (True, ours.final_states),
    ):

        def outputs_of(chosen: list[int], run: Run = run, per_text: bool = per_text) -> Any:
            some = [lengths[text] for text in chosen]
            outputs = run(torch.cat([texts[text] for text in chosen]), pack_batch(some))
            return outputs.split(1 if per_text else some)

        with torch.inference_mode():
            expected = outputs_of(list(range(len(texts))))
            for size in (1, 1, 2, 5, 15, 16, 17, 33):
                chosen = torch.randperm(len(texts))[:size].tolist()
                for text, output in zip(chosen, outputs_of(chosen), strict=True):
                    assert torch.equal(output, expected[text])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("hidden", [128, 160])
def test_scores_are_the_same_bits_with_any_number_of_threads(
    cell: str, hidden: int, set_threads: Callable[[int], None]
) -> None:
    ours = network(cell, width=384, hidden=hidden)
    lengths = torch.randint(1, 25, (72,)).tolist()
    tokens, batch = torch.randn(sum(lengths), 384), pack_batch(lengths)
    outputs = []
    for threads in (1, 2, 3):
        set_threads(threads)
        with torch.inference_mode():
            outputs.append(ours(tokens, batch))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("hidden", [16, 200])
def test_the_callers_threads_are_given_back(
    hidden: int, set_threads: Callable[[int], None]
) -> None:
    ours = network("lstm", hidden=hidden)
    set_threads(2)
    ours(torch.randn(5, WIDTH), pack_batch([5])).sum().backward()
    assert torch.get_num_threads() == 2


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


def test_locked_dropout_between_layers_drops_the_same_units_at_all_tokens() -> None:
    ours = network("lstm", layers=2, dropout=0.5, locked=True).train()
    seen: list[Tensor] = []
    layer = ours._layer

    def watching(tokens: Tensor, *rest: Any) -> Tensor:
        seen.append(tokens)
        return layer(tokens, *rest)

    ours._layer = watching  # type: ignore[method-assign]
    lengths = [12, 7]
    ours(torch.randn(sum(lengths), WIDTH), pack_batch(lengths))
    kept = [text.bool().unique(dim=0) for text in seen[1].split(lengths)]
    assert [len(text) for text in kept] == [1, 1]
    assert not torch.equal(*kept)
