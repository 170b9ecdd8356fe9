from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.core.tensor_header import TensorEntry, read_tensor_header


def test_what_safetensors_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.float16)}
    save_file(tensors, path, metadata={"format": "pt"})
    with path.open("rb") as file:
        entries, data = read_tensor_header(file, limit=1000)
    assert data == 24 + 10
    assert entries["a"] == TensorEntry(dtype="F32", shape=(2, 3), data_offsets=(0, 24))
    assert entries["b"] == TensorEntry(dtype="F16", shape=(5,), data_offsets=(24, 34))


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("[]", "input should be a valid dictionary"),
        ('{"a": 1}', "a: input should be a valid dictionary"),
        ('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}', "a.shape.0: "),
        ('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', "ends before"),
        ('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 0]}}', "ends before"),
        ("[" * 500, "recursion limit"),
        ("{" + " " * 2000 + "}", "no length that a header can have"),
    ],
    ids=range(7),
)
def test_what_is_no_header_is_one_line(tmp_path: Path, header: str, problem: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"1234")
    with path.open("rb") as file, pytest.raises(ValueError, match=problem) as caught:
        read_tensor_header(file, limit=1000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 3, 1 << 62])
def test_a_header_ends_in_its_file(tmp_path: Path, length: int) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + json.dumps({}).encode())
    with path.open("rb") as file, pytest.raises(ValueError, match="no length"):
        read_tensor_header(file, limit=1 << 63)
