from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.features.layers import resolve_layer, spread_layers


@given(layer=st.integers(-20, 20), depth=st.integers(1, 12))
def test_layer_is_resolved_as_python_indexes_a_list(layer, depth):
    layers = list(range(depth + 1))
    expected = layers[layer] if -len(layers) <= layer < len(layers) else None
    assert resolve_layer(layer, depth) == expected


def test_last_layer_of_twelve_is_twelve():
    assert resolve_layer(-1, 12) == 12


def test_embeddings_are_layer_zero_from_either_end():
    assert resolve_layer(0, 12) == resolve_layer(-13, 12) == 0


@given(depth=st.integers(1, 48), count=st.integers(1, 12))
def test_a_spread_has_so_many_layers_and_ends_with_the_last(depth, count):
    layers = spread_layers(depth, count)
    assert len(set(layers)) == len(layers) == min(depth, count)
    assert layers == sorted(layers)
    assert layers[0] >= 1
    assert layers[-1] == depth
    gaps = [after - before for before, after in zip([0, *layers], layers, strict=False)]
    assert max(gaps) - min(gaps) <= 2
