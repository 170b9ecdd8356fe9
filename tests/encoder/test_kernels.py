from __future__ import annotations

import pytest
import torch
from families import materialise_family
from torch import nn
from transformers.activations import ACT2FN

from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.kernels import LinearGelu, fuse_gelu

CPU = torch.device("cpu")


class FeedForward(nn.Module):
    """As in BERT."""

    def __init__(self, activation: str = "gelu", *, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense = nn.Linear(48, 192, bias=bias)
        self.intermediate_act_fn = ACT2FN[activation]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.intermediate_act_fn(self.dense(inputs))


@pytest.mark.parametrize("rows", [16, 1040, 1041])
@torch.inference_mode()
def test_fused_values_are_those_of_the_two_steps(rows):
    plain, fused = FeedForward(), FeedForward()
    fuse_gelu(fused, rows=1040)
    assert isinstance(fused.dense, LinearGelu)
    inputs = 3 * torch.randn(1, rows, 48)
    assert fused(inputs).shape == (1, rows, 192)
    torch.testing.assert_close(fused(inputs), plain(inputs), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "module", [FeedForward("gelu_new"), FeedForward("relu"), FeedForward(bias=False)]
)
@torch.inference_mode()
def test_other_activations_and_layers_are_left_alone(module):
    before = module(inputs := torch.randn(1, 20, 48))
    fuse_gelu(module, rows=1040)
    assert isinstance(module.dense, nn.Linear)
    assert torch.equal(module(inputs), before)


def test_without_the_operators_nothing_is_replaced(monkeypatch):
    monkeypatch.setattr("pipeline.encoder.kernels._has_operators", lambda: False)
    module = FeedForward()
    fuse_gelu(module, rows=1040)
    assert isinstance(module.dense, nn.Linear)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {}),
        ("roberta", {}),
        ("electra", {}),
        ("distilbert", {}),
        ("albert", {"hidden_act": "gelu"}),
        ("mpnet", {}),
        ("deberta_v2", {}),
    ],
)
def test_the_feed_forward_layers_of_families_are_fused_in_float32(
    family, changes, tiny_bert, tmp_path
):
    folder = materialise_family(family, tiny_bert, tmp_path, **changes)
    fused = FrozenEncoder(folder, layers=[2], device=CPU)
    assert any(isinstance(module, LinearGelu) for module in fused._model.modules())
    half = FrozenEncoder(folder, layers=[2], device=CPU, dtype=torch.bfloat16)
    assert not any(isinstance(module, LinearGelu) for module in half._model.modules())
