"""Encoders in bfloat16: close to float32, and a row's bits still its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from encoded import bits, rows_of_lengths, states_of
from families import CONFIGURATIONS, materialise_family

from pipeline.core.errors import EncoderError, MachineError
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.snapshot import read_snapshot
from pipeline.extraction.recipes import encoder_of
from pipeline.extraction.run import recipe_of
from pipeline.extraction.settings import FeaturesSettings

CPU = torch.device("cpu")
TOLERANCE = 0.1
"""Of the largest value of a row; families are off by 0.01 to 0.05, and by 0.8 at another layer."""


def settings_of(**changes: object) -> FeaturesSettings:
    values: dict = {
        "corpus": "c",
        "encoder": "e",
        "layers": (1,),
        "max_length": 32,
        "long_texts": "truncate",
        "storage_dtype": "float16",
        "shard_tokens": 256,
    }
    return FeaturesSettings(**values | changes)


def assert_close(states: Sequence[dict], expected: Sequence[dict]) -> None:
    for row, other in zip(states, expected, strict=True):
        for layer, values in row.items():
            assert values.dtype == np.float32
            largest = np.abs(other[layer]).max()
            assert 0 < np.abs(values - other[layer]).max() <= TOLERANCE * largest


def test_what_has_no_bfloat16_is_refused(tiny_bert, tmp_path):
    folder = materialise_family("fnet", tiny_bert, tmp_path)  # Fourier transforms
    with pytest.raises(EncoderError, match=r"type 'fnet' is not supported: .*BFloat16"):
        FrozenEncoder(folder, layers=[1], device=CPU, dtype=torch.bfloat16)


@pytest.mark.parametrize("family", [name for name in CONFIGURATIONS if name != "fnet"])
def test_bfloat16_is_close_to_float32_and_bits_are_a_rows_own(
    family, tiny_bert, tmp_path, set_threads
):
    folder = materialise_family(family, tiny_bert, tmp_path, initializer_range=0.15)
    rows = rows_of_lengths([2, 3, 9, 16, 17, 33, 48, 64, 20, 20])
    encoder = FrozenEncoder(folder, layers=[1, 4], device=CPU, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in encoder._model.parameters()} == {torch.bfloat16}
    together = states_of(encoder, rows)
    assert_close(together, states_of(FrozenEncoder(folder, layers=[1, 4], device=CPU), rows))
    for threads in (1, 2):
        set_threads(threads)
        assert bits([states_of(encoder, [row])[0] for row in rows]) == bits(together)
        assert bits(states_of(encoder, rows[::-1])[::-1]) == bits(together)


def test_a_real_encoder_in_bfloat16(minilm, set_threads):
    rows = rows_of_lengths([3, 4, 9, 16, 17, 33, 64, 100, 128, 128, 128])
    encoder = FrozenEncoder(minilm, layers=[3, 6], device=CPU, dtype=torch.bfloat16)
    set_threads(1)
    together = states_of(encoder, rows)
    assert_close(together, states_of(FrozenEncoder(minilm, layers=[3, 6], device=CPU), rows))
    for threads in (1, 2):
        set_threads(threads)
        for first, count in ((0, 1), (3, 5), (8, 1), (8, 2)):
            some = states_of(encoder, rows[first : first + count])
            assert bits(some) == bits(together[first : first + count])


def test_the_precision_is_part_of_the_recipe_and_reaches_the_encoder(tiny_encoder):
    snapshot = read_snapshot(tiny_encoder, verify=False)
    recipes = {
        dtype: recipe_of(settings_of(compute_dtype=dtype), snapshot)
        for dtype in ("float32", "bfloat16", "float16")
    }
    assert recipe_of(settings_of(), snapshot) == recipes["float32"]
    assert len({recipe.digest() for recipe in recipes.values()}) == 3
    [row] = rows_of_lengths([9])
    for dtype in ("float32", "bfloat16"):
        through = encoder_of(tiny_encoder, recipes[dtype], layers=[1], device=CPU)
        direct = FrozenEncoder(tiny_encoder, layers=[1], device=CPU, dtype=getattr(torch, dtype))
        assert bits(states_of(through, [row])) == bits(states_of(direct, [row]))


def test_float16_on_a_cpu_is_one_line_of_advice(tiny_encoder: Path) -> None:
    with pytest.raises(MachineError, match=r"^compute_dtype: float16 needs a CUDA GPU") as caught:
        FrozenEncoder(tiny_encoder, layers=[1], device=CPU, dtype=torch.float16)
    assert "\n" not in str(caught.value)
