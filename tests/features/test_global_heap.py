"""Heaps of texts are gone through before libhdf5 does: in some it would never come to an end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.core.errors import StoreError
from pipeline.features import layout
from pipeline.features.hdf5 import Hdf5File

KIND = "of-a-test"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of a type, with ids in two heaps."""
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", libver=layout.LIBVER) as file:
        file.attrs[layout.ATTRIBUTE_TYPE] = KIND
        file.attrs[layout.ATTRIBUTE_VERSION] = np.int64(layout.FORMAT_VERSION)
        ids = np.array([f"row {number}" * 9 for number in range(120)], object)
        file.create_dataset("ids", data=ids, dtype=h5py.string_dtype())
    assert len(heaps(path.read_bytes())) == 2
    return path


def heaps(data: bytes) -> list[int]:
    return [place for place in range(0, len(data), 8) if data[place : place + 5] == b"GCOL\x01"]


def test_texts_are_read(path: Path) -> None:
    with Hdf5File(path, KIND) as file, file.texts("ids") as ids:
        assert ids[1:3].tolist() == ["row 1" * 9, "row 2" * 9]


def free_of_no_size(data: bytearray, heap: int) -> None:
    data[heap + 16 : heap + 32] = bytes(16)


def object_beyond(data: bytearray, heap: int) -> None:
    data[heap + 24 : heap + 32] = (1 << 40).to_bytes(8, "little")


def huge_object(data: bytearray, heap: int) -> None:
    data[heap + 24 : heap + 32] = b"\xff" * 8


def heap_beyond(data: bytearray, heap: int) -> None:
    data[heap + 8 : heap + 16] = (1 << 40).to_bytes(8, "little")


def heap_gone(data: bytearray, heap: int) -> None:
    data[heap : heap + 4] = b"none"


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "harm", [free_of_no_size, object_beyond, huge_object, heap_beyond, heap_gone]
)
def test_a_heap_that_is_damaged_is_told(
    harm: Callable[[bytearray, int], None], which: int, path: Path
) -> None:
    data = bytearray(path.read_bytes())
    harm(data, heaps(data)[which])
    path.write_bytes(data)
    with (
        pytest.raises(StoreError, match=r"is damaged \(a .*heap"),
        Hdf5File(path, KIND) as file,
        file.texts("ids") as ids,
    ):
        ids[:]


def test_what_stands_before_a_file_would_move_its_heaps(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", libver=layout.LIBVER, userblock_size=512) as file:
        file.attrs[layout.ATTRIBUTE_TYPE] = KIND
    with pytest.raises(StoreError, match="something stands before it"):
        Hdf5File(path, KIND)


def test_attributes_in_a_tree_of_their_own_are_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w", libver=layout.LIBVER) as file:
        for number in range(30):
            file.attrs[f"other {number}"] = "text"
        file.attrs[layout.ATTRIBUTE_TYPE] = KIND
    with pytest.raises(StoreError, match="attributes are elsewhere"):
        Hdf5File(path, KIND)
