from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from pipeline.heads.linear import BatchInvariantLinear


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("inputs", [1, 10, 40, 256])
@pytest.mark.parametrize("outputs", [1, 2, 5, 16, 21, 32, 33])
def test_rows_are_the_same_bits_in_any_number_and_order(
    set_threads: Callable[[int], None], threads: int, inputs: int, outputs: int
) -> None:
    set_threads(threads)
    generator = torch.Generator().manual_seed(0)
    layer = BatchInvariantLinear(inputs, outputs)
    values = torch.randn(64, inputs, generator=generator)
    with torch.inference_mode():
        expected = layer(values)
        for rows in (1, 2, 15, 16, 17, 31, 48):
            chosen = torch.randperm(64, generator=generator)[:rows]
            assert torch.equal(layer(values[chosen]), expected[chosen])


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 3, 1), (7, 16, 5), (40, 20, 33)])
def test_values_and_gradients_equal_torchs_linear_layer(
    rows: int, inputs: int, outputs: int
) -> None:
    ours = BatchInvariantLinear(inputs, outputs, dtype=torch.float64)
    theirs = torch.nn.Linear(inputs, outputs, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    values = torch.randn(rows, inputs, dtype=torch.float64)
    results = [layer(values) for layer in (ours, theirs)]
    torch.testing.assert_close(*results)
    for result in results:
        result.square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)
