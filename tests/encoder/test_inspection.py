"""What is loaded is what the description says; tests/faults has the cases of attacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.core.errors import EncoderError, ParameterError
from pipeline.core.params import ParamsFile
from pipeline.encoder.config import check_config
from pipeline.encoder.inspection import require_loadable
from pipeline.encoder.roles import by_role, role_of
from pipeline.encoder.settings import trusts_code
from pipeline.encoder.snapshot import read_snapshot
from pipeline.encoder.weights import WeightSizes, no_larger_than, weight_sizes


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("model.safetensors", "weights"),
        ("model-00001-of-00002.safetensors", "weights"),
        ("model.safetensors.index.json", "weights"),
        ("config.json", "config"),
        ("tokenizer.json", "tokenizer"),
        ("spiece.model", "tokenizer"),
        ("modeling.py", "code"),
        ("pytorch_model.bin", None),
        ("a/model.safetensors", None),
        ("../evil.py", None),
        ("README.md", None),
        ("encoder.json", None),
    ],
)
def test_a_name_tells_the_role(name: str, role: str | None) -> None:
    assert role_of(name) == role


def test_what_has_no_role_is_not_described() -> None:
    assert by_role({"config.json": "0"}) == {
        "weights": {},
        "config": {"config.json": "0"},
        "tokenizer": {},
    }
    with pytest.raises(ValueError, match=r"evil\.bin is no file of an encoder"):
        by_role({"evil.bin": "0"})


def test_an_intact_encoder_is_loadable_and_hidden_files_do_not_matter(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    (folder / ".DS_Store").write_bytes(b"x")
    found = require_loadable(folder, trust_remote_code=False, verify=True)
    assert found == read_snapshot(folder, verify=True)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"tokenizer\.json: is missing, or no file"):
        require_loadable(folder, trust_remote_code=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"attn_implementation": "sdpa"},
        {"_attn_implementation": None},
        {"quantization_config": None},
        {"use_kernels": False},
        {"num_labels": 3, "problem_type": None},
        {"num_hidden_layers": 48, "layer_types": ["full_attention"] * 48},
        {"vocab_size": 901_629, "max_position_embeddings": 1 << 20},
    ],
)
def test_what_configurations_say_is_let_through(settings: dict[str, object]) -> None:
    check_config(settings, "here")


def test_sizes_of_weights_are_those_of_their_tensors(tiny_encoder: Path) -> None:
    tensors = load_file(tiny_encoder / "model.safetensors")
    assert weight_sizes(read_snapshot(tiny_encoder, verify=False)) == WeightSizes(
        len(tensors), sum(tensor.numel() for tensor in tensors.values())
    )


def test_a_model_is_counted_while_it_is_built_and_not_afterwards(tmp_path: Path) -> None:
    sizes = WeightSizes(2, 20)
    with torch.device("meta"):
        with no_larger_than(sizes, tmp_path):
            nn.Linear(1000, 1000)
        with (
            pytest.raises(EncoderError, match="far larger than its weights, which hold 20 numbers"),
            no_larger_than(sizes, tmp_path),
        ):
            nn.Linear(10_000, 10_000)
        with (
            pytest.raises(EncoderError, match="far larger than its weights"),
            no_larger_than(sizes, tmp_path),
        ):
            nn.ModuleList(nn.Linear(1, 1) for _ in range(10_000))
        nn.Linear(10_000, 10_000)


@pytest.mark.parametrize(
    ("text", "trusted"),
    [
        ("encoders: {e: {source: ./e, revision: null, trust_remote_code: true}}\n", True),
        ("encoders: {e: {source: ./e, revision: null, trust_remote_code: false}}\n", False),
        ("encoders: {e: {source: ./e, revision: null}}\n", False),
        ("encoders: {f: {source: ./e, revision: null, trust_remote_code: true}}\n", False),
        ("encoders: [e]\n", False),
        ("features: {}\n", False),
    ],
)
def test_a_row_says_whether_code_may_run(tmp_path: Path, text: str, trusted: bool) -> None:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert trusts_code(ParamsFile(tmp_path / "params.yaml"), "e") == trusted


def test_a_row_that_is_not_valid_does_not_say_it(tmp_path: Path) -> None:
    row = "encoders: {e: {source: ./e, revision: null, trust_remote_code: 'yes'}}\n"
    (tmp_path / "params.yaml").write_text(row, encoding="utf-8")
    with pytest.raises(ParameterError, match="trust_remote_code"):
        trusts_code(ParamsFile(tmp_path / "params.yaml"), "e")
