from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.features import layout
from pipeline.store import layer_image
from pipeline.store.layer_image import layer_file, lookup3


def as_hdf5_writes_it(path: Path, hidden: np.ndarray, layer: int) -> bytes:
    with h5py.File(path, "w", libver=layout.LIBVER) as file:
        file.attrs["encoding-type"] = "icehouse-layer"
        file.attrs["encoding-version"] = np.int64(1)
        file.attrs["layer"] = np.int64(layer)
        file.create_dataset("hidden", data=hidden)
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.integers(1, 70_000),
    width=st.sampled_from([1, 2, 8, 48, 100]),
    dtype=st.sampled_from(["float16", "float32"]),
    layer=st.integers(0, 48),
)
def test_a_layers_file_is_what_hdf5_writes(tmp_path_factory, tokens, width, dtype, layer):
    hidden = (np.arange(tokens * width) % 1000).reshape(tokens, width).astype(dtype)
    path = tmp_path_factory.mktemp("layers") / "layer.h5"
    assert b"".join(layer_file(hidden, layer=layer)) == as_hdf5_writes_it(path, hidden, layer)


@pytest.mark.parametrize("tokens", [1, 2, 3, 4096])
@pytest.mark.parametrize("width", [1, 2, 4, 384, 768, 1024])
def test_numbers_of_the_template_are_numbers_like_others(tmp_path, tokens, width):
    hidden = np.ones((tokens, width), np.float16)
    path = tmp_path / "layer.h5"
    assert b"".join(layer_file(hidden, layer=2)) == as_hdf5_writes_it(path, hidden, 2)


def test_states_are_not_copied():
    hidden = np.zeros((5, 4), np.float16)
    _, data = layer_file(hidden, layer=1)
    hidden[2, 3] = 7
    assert np.frombuffer(data, np.float16).reshape(5, 4)[2, 3] == 7


def test_threads_build_files_at_once():
    layer_image._template.cache_clear()
    hidden = [np.full((5, width), width, np.float16) for width in range(1, 60)]
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda states: b"".join(layer_file(states, layer=2)), hidden))
    assert files == [b"".join(layer_file(states, layer=2)) for states in hidden]


@pytest.mark.parametrize("place", [28, 44, -1])
def test_an_hdf5_that_writes_otherwise_is_refused(monkeypatch, place):
    image = bytearray(layer_image._image(2, 6, "<f2", 3))
    if place == -1:
        place = image.rindex(b"OHDR") + 20
    image[place] ^= 1
    monkeypatch.setattr(layer_image, "_image", lambda *_: bytes(image))
    layer_image._template.cache_clear()
    with pytest.raises(ValueError, match=r"^HDF5 \S+ writes files in another way$"):
        layer_file(np.zeros((2, 6), np.float16), layer=3)
    layer_image._template.cache_clear()


def test_checksums_are_those_of_lookup3():
    """The example of Bob Jenkins' own lookup3.c, with a seed of zero."""
    assert lookup3(b"Four score and seven years ago") == 0x17770551
