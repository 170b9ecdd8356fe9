from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax

from pipeline.heads.layer_mix import LayerMix

LAYERS, TOKENS, WIDTH = 4, 9, 5


def random_mix(generator: torch.Generator) -> LayerMix:
    mix = LayerMix(LAYERS).double()
    with torch.no_grad():
        mix.weights.copy_(torch.randn(LAYERS, generator=generator))
        mix.scale.fill_(1.7)
    return mix


def test_a_mix_is_the_scaled_sum_of_softmax_weights_and_layers() -> None:
    generator = torch.Generator().manual_seed(0)
    mix = random_mix(generator)
    layers = torch.randn(TOKENS, LAYERS, WIDTH, dtype=torch.float64, generator=generator)
    weights = softmax(mix.weights.detach().numpy())
    expected = 1.7 * np.einsum("k,tkw->tw", weights, layers.numpy())
    np.testing.assert_allclose(mix(layers.flatten(1)).detach().numpy(), expected, rtol=1e-12)


def test_gradients_of_a_mix_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    mix = random_mix(generator)
    tokens = torch.randn(
        TOKENS, LAYERS * WIDTH, dtype=torch.float64, generator=generator, requires_grad=True
    )
    parameters = {name: value.detach().requires_grad_() for name, value in mix.named_parameters()}

    def mixed(tokens: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        named = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(mix, named, (tokens,))

    assert torch.autograd.gradcheck(mixed, (tokens, *parameters.values()))


def test_layers_weigh_the_same_to_begin_with() -> None:
    mix = LayerMix(LAYERS)
    assert mix.shares.tolist() == [1 / LAYERS] * LAYERS
    layers = torch.randn(TOKENS, LAYERS, WIDTH, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(mix(layers.flatten(1)), layers.mean(1))


def test_one_layer_is_all_of_the_mix() -> None:
    mix = LayerMix(1)
    tokens = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(3))
    assert mix.shares.tolist() == [1.0]
    assert torch.equal(mix(tokens), tokens)


def test_a_token_is_mixed_to_the_same_bits_alone_and_in_company() -> None:
    generator = torch.Generator().manual_seed(4)
    mix = random_mix(generator).float()
    tokens = torch.randn(50, LAYERS * WIDTH, generator=generator)
    together = mix(tokens)
    for begin, end in ((0, 1), (1, 3), (7, 24)):
        assert torch.equal(mix(tokens[begin:end]), together[begin:end])
