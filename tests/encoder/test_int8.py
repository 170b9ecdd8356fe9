"""Encoders whose linear layers are in int8: close to float32, and a row's bits still its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from encoded import bits, rows_of_lengths, states_of
from families import CONFIGURATIONS, materialise_family
from torch import nn

from pipeline.core.errors import EncoderError, MachineError
from pipeline.encoder import int8
from pipeline.encoder.forward import PACK_TOKENS, FrozenEncoder
from pipeline.encoder.int8 import Int8Linear, SharedInput, quantise, require_int8, use_int8

CPU = torch.device("cpu")


def _refusal() -> str:
    try:
        require_int8(CPU)
    except MachineError as error:
        return str(error)
    return ""


needs_int8 = pytest.mark.skipif(_refusal() != "", reason=_refusal() or "int8 is here")


def relative_error(states: list[dict], expected: list[dict], layer: int) -> float:
    """Root mean square of the differences, over that of the values."""
    differences = np.concatenate(
        [row[layer] - other[layer] for row, other in zip(states, expected, strict=True)]
    )
    values = np.concatenate([other[layer] for other in expected])
    return float(np.sqrt((differences**2).mean() / (values**2).mean()))


@torch.inference_mode()
def test_inputs_are_off_by_half_a_step_at_most():
    inputs = torch.randn(50, 37) * torch.logspace(-20, 20, 50)[:, None]
    inputs[1], inputs[2], inputs[3], inputs[4] = 0, 7, -inputs[3].abs(), inputs[4].abs()
    values, scale, offset = quantise(inputs)
    assert (values.dtype, scale.shape, offset.shape) == (torch.uint8, (50, 1), (50, 1))
    restored = scale.double() * values + offset
    assert ((restored - inputs).abs() <= 0.501 * scale).all()
    assert (restored[1] == 0).all()
    torch.testing.assert_close(restored[2].float(), inputs[2])
    uses_all_steps = (values.amin(1) == 0) | (values.amax(1) == 255)
    assert uses_all_steps.all()


def test_inputs_of_several_layers_are_quantised_once_and_then_forgotten():
    shared = SharedInput(3)
    inputs = torch.randn(1, 20, 8)
    first = shared(inputs)
    assert shared(inputs) is first
    assert shared(inputs) is first
    before = first.offset.clone()
    inputs -= 1  # the same tensor, with other values
    torch.testing.assert_close(shared(inputs).offset, (before.double() - 1).float())


def test_other_inputs_are_not_those_before():
    shared = SharedInput(3)
    inputs = torch.randn(1, 20, 8)
    first = shared(inputs)
    other = shared(inputs - 1)
    assert not torch.equal(other.offset, first.offset)
    assert torch.equal(shared(inputs).offset, first.offset)


@needs_int8
@pytest.mark.parametrize(
    ("inputs", "outputs"), [(384, 1536), (3072, 768), (33, 7), (30, 70), (1, 5), (64, 1)]
)
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_a_layer_is_the_product_of_rounded_numbers(inputs, outputs, bias):
    torch.manual_seed(0)
    linear = nn.Linear(inputs, outputs, bias=bias)
    linear.weight[0] = 0
    given = torch.randn(2, 24, inputs) + 0.5
    layer = Int8Linear(linear, 48)
    found = layer(given)
    assert found.shape == (2, 24, outputs)
    values, scale, offset = quantise(given.flatten(0, 1))
    steps = linear.weight.double().abs().amax(1, keepdim=True) / 127
    steps[0] = 1
    weight = (linear.weight / steps.float()).round().double() * steps
    expected = (scale.double() * values + offset) @ weight.T
    if bias:
        expected += linear.bias
    torch.testing.assert_close(found.flatten(0, 1), expected.float(), rtol=1e-4, atol=1e-4)
    exact = linear(given)
    assert (found - exact).norm() <= 0.02 * exact.norm()


@needs_int8
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@torch.inference_mode()
def test_what_is_not_finite_does_not_become_so(value):
    given = torch.randn(20, 40)
    given[3, 5] = value
    found = Int8Linear(nn.Linear(40, 50), 20)(given)
    assert not found[3].isfinite().any()
    assert found[4:].isfinite().all()


@needs_int8
@torch.inference_mode()
def test_gelu_is_applied_to_the_product():
    torch.manual_seed(0)
    linear = nn.Linear(40, 50)
    given = torch.randn(20, 40)
    plain = Int8Linear(linear, 20)
    fused = Int8Linear(linear, 20, gelu=True)
    torch.testing.assert_close(fused(given), nn.functional.gelu(plain(given)))


@needs_int8
@torch.inference_mode()
def test_only_plain_layers_whose_sums_fit_are_replaced(monkeypatch):
    class Other(nn.Linear):
        pass

    monkeypatch.setattr(int8, "_WIDEST", 32)
    model = nn.ModuleDict({"plain": nn.Linear(32, 4), "wide": nn.Linear(33, 4), "own": Other(8, 4)})
    use_int8(model, rows=16)
    assert {name: type(module) for name, module in model.items()} == {
        "plain": Int8Linear,
        "wide": nn.Linear,
        "own": Other,
    }


@needs_int8
def test_a_model_without_plain_linear_layers_is_refused(tiny_bert, tmp_path):
    folder = materialise_family("gpt2", tiny_bert, tmp_path)
    with pytest.raises(EncoderError, match="has no layers that multiply in int8; use another"):
        FrozenEncoder(folder, layers=[1], device=CPU, dtype=torch.int8)


@needs_int8
@pytest.mark.parametrize("family", [name for name in CONFIGURATIONS if name != "gpt2"])
def test_int8_is_close_to_float32_and_bits_are_a_rows_own(family, tiny_bert, tmp_path, set_threads):
    folder = materialise_family(family, tiny_bert, tmp_path, initializer_range=0.15)
    rows = rows_of_lengths([2, 3, 9, 16, 17, 33, 48, 64, 20, 20])
    encoder = FrozenEncoder(folder, layers=[1, 4], device=CPU, dtype=torch.int8)
    assert any(isinstance(module, Int8Linear) for module in encoder._model.modules())
    assert not any(type(module) is nn.Linear for module in encoder._model.modules())
    together = states_of(encoder, rows)
    plain = states_of(FrozenEncoder(folder, layers=[1, 4], device=CPU), rows)
    assert all(row[4].dtype == np.float32 for row in together)
    assert 0 < relative_error(together, plain, 1) < 0.05
    assert 0 < relative_error(together, plain, 4) < 0.1
    for threads in (1, 2):
        set_threads(threads)
        assert bits([states_of(encoder, [row])[0] for row in rows]) == bits(together)
        assert bits(states_of(encoder, rows[::-1])[::-1]) == bits(together)


@needs_int8
def test_a_real_encoder_in_int8(minilm, set_threads):
    rows = rows_of_lengths([3, 4, 9, 16, 17, 33, 64, 100, 128, 128, 128])
    encoder = FrozenEncoder(minilm, layers=[3, 6], device=CPU, dtype=torch.int8)
    set_threads(1)
    together = states_of(encoder, rows)
    plain = states_of(FrozenEncoder(minilm, layers=[3, 6], device=CPU), rows)
    assert 0 < relative_error(together, plain, 6) < 0.1
    for threads in (1, 2, 3, 7):
        set_threads(threads)
        for first, count in ((0, 1), (3, 5), (8, 1), (8, 2)):
            some = states_of(encoder, rows[first : first + count])
            assert bits(some) == bits(together[first : first + count])


@needs_int8
@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
        {"hidden_size": 72, "num_attention_heads": 6, "intermediate_size": 131},
    ],
)
def test_rows_of_wide_and_odd_models_do_not_depend_on_their_company(
    sizes, tiny_bert, tmp_path, set_threads
):
    folder = materialise_family("bert", tiny_bert, tmp_path, num_hidden_layers=2, **sizes)
    encoder = FrozenEncoder(folder, layers=[2], device=CPU, dtype=torch.int8)
    set_threads(1)
    [row] = rows_of_lengths([20])
    others = rows_of_lengths([20] * (PACK_TOKENS // 20 - 1), seed=1)
    [alone] = bits(states_of(encoder, [row]))
    for threads in (1, 2):
        set_threads(threads)
        assert bits(states_of(encoder, [row, *others]))[0] == alone
        assert bits(states_of(encoder, [*others, row]))[-1] == alone
        longer = rows_of_lengths([5, 64, 64, 33], seed=2)
        assert bits(states_of(encoder, [*longer, row]))[-1] == alone


@needs_int8
def test_a_model_that_does_not_run_in_int8_is_one_line(tiny_encoder, monkeypatch):
    def fail(self, inputs):
        raise RuntimeError("no such kernel\nsecond line")

    monkeypatch.setattr(Int8Linear, "forward", fail)
    with pytest.raises(EncoderError, match=r"'bert' is not supported: no such kernel$"):
        FrozenEncoder(tiny_encoder, layers=[1], device=CPU, dtype=torch.int8)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("_is_exact", lambda: False), ("_has_operators", lambda: False)],
)
def test_a_cpu_without_it_is_one_line_of_advice(attribute, value, tiny_encoder, monkeypatch):
    monkeypatch.setattr(int8, attribute, value)
    with pytest.raises(MachineError, match=r"^compute_dtype: int8 needs .*; use float32$"):
        FrozenEncoder(tiny_encoder, layers=[1], device=CPU, dtype=torch.int8)


def test_a_gpu_is_one_line_of_advice():
    with pytest.raises(MachineError, match=r"^compute_dtype: int8 needs .*, this is cuda:0; use"):
        require_int8(torch.device("cuda:0"))


@needs_int8
@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
def test_kernels_whose_sums_saturate_are_found(isa: str) -> None:
    """oneDNN reads once, at the start of a process, what it may use of the CPU."""
    source = (
        "import torch\n"
        "from pipeline.encoder.int8 import require_int8\n"
        "require_int8(torch.device('cpu'))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": isa},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "MachineError: compute_dtype: int8 needs an x86-64 CPU with VNNI" in ended.stderr
