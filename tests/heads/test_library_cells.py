"""The path of a GPU, taken on a CPU: torch's packed networks against our own cells."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from fused_heads import everywhere
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.heads.packing import PackedBatch, pack_batch
from pipeline.heads.recurrent import RecurrentNetwork

WIDTH, HIDDEN = 7, 5
RUNS = ["forward", "at_first_tokens", "final_states"]


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def run(
    network: RecurrentNetwork, how: str, tokens: Tensor, batch: PackedBatch
) -> tuple[Tensor, list[Tensor]]:
    """Outputs, and the gradients of tokens and of all parameters."""
    network.zero_grad()
    given = tokens.clone().requires_grad_()
    outputs: Tensor = getattr(network, how)(given, batch)
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    (outputs * weights.to(outputs.dtype)).sum().backward()
    gradients = [given.grad, *(parameter.grad for parameter in network.parameters())]
    return outputs.detach(), [torch.zeros(0) if g is None else g.clone() for g in gradients]


@pytest.mark.parametrize("how", RUNS)
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    cell=st.sampled_from(["lstm", "gru"]),
    layers=st.integers(1, 3),
    both=st.booleans(),
)
def test_outputs_and_all_gradients_equal_those_of_our_cells(
    how: str, lengths: list[int], cell: str, layers: int, both: bool
) -> None:
    network = RecurrentNetwork(
        cell=cell,
        input_size=WIDTH,
        hidden_size=HIDDEN,
        num_layers=layers,
        bidirectional=both,
        dropout=0.0,
        locked_dropout=False,
    )
    tokens = torch.randn(sum(lengths), WIDTH)
    ours, our_gradients = run(network, how, tokens, pack_batch(lengths))
    with pytest.MonkeyPatch.context() as patch:
        everywhere(patch)
        theirs, their_gradients = run(network, how, tokens, pack_batch(lengths))
    torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-5)
    for gradient, other in zip(their_gradients, our_gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-5, atol=1e-5)
