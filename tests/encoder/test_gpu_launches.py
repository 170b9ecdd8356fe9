"""What a pack on a GPU launches and waits for, counted without one.

The kernel for rows of different lengths is one launch; what stands in for it on a CPU is not
counted. That nothing waits is seen on the ``meta`` device, which holds no values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import VOCABULARY
from encoded import rows_of_lengths
from launches import Launches

from pipeline.encoder import attention
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.packs import EncodedPack
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise
from pipeline.encoder.transfer import Transfer

LAYERS = 12
LENGTHS = [3, 3, 9, 20, 33, 16, 40, 41]
META = torch.device("meta")


@pytest.fixture(scope="module")
def bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as deep as BERT base."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    source = tmp_path_factory.mktemp("deep") / "source"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(source)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(source)
    folder = source.parent / "encoder"
    materialise(EncoderSettings(source=str(source), revision=None), folder)
    return folder


@pytest.fixture
def encoder(bert: Path) -> FrozenEncoder:
    """In a precision in which no two operations are made one, as on a GPU."""
    encoder = FrozenEncoder(
        bert, layers=[6, LAYERS], device=torch.device("cpu"), dtype=torch.bfloat16
    )
    encoder.pack_tokens = sum(LENGTHS)
    return encoder


def use_kernel(monkeypatch: pytest.MonkeyPatch, counted: Launches) -> None:
    """Has attention ask for the GPU's kernel."""

    def kernel(query: Any, key: Any, value: Any, *_: Any, **options: Any) -> torch.Tensor:
        with counted.uncounted():
            q, k, v = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
            attend = torch.nn.functional.scaled_dot_product_attention
            output = attend(q, k, v, scale=options["scale"])[0].transpose(0, 1)
        return output.contiguous() + 0  # one launch

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    monkeypatch.setattr(attention, "_has_varlen", lambda *_: True)


def test_a_pack_of_bert_base_is_few_launches(encoder, monkeypatch):
    counted = Launches()
    use_kernel(monkeypatch, counted)
    with counted:
        [pack] = encoder.encode_packs(rows_of_lengths(LENGTHS), torch.float16)
    assert len(pack.pieces) == len(LENGTHS)
    print(f"{counted.operations} launches: {dict(counted.by_name.most_common())}")
    assert counted.operations <= 260


def test_a_pack_waits_for_nothing(encoder, monkeypatch):
    counted = Launches()
    use_kernel(monkeypatch, counted)
    encoder._model.to(META)
    monkeypatch.setattr(encoder, "_transfer", OnMeta(META))
    with counted:
        [pack] = encoder.encode_packs(rows_of_lengths(LENGTHS), torch.float16)
    assert isinstance(pack, EncodedPack)
    assert counted.operations > 100
    assert counted.synchronisations == 0


class OnMeta(Transfer):
    """Copies to a device without values, and nothing back."""

    def download(self, tensors: Any) -> Any:
        assert all(tensor.is_meta for tensor in tensors.values())
        return dict


def test_what_is_uploaded_is_one_copy():
    arrays = {name: np.zeros((1, 40), np.int32) for name in ("ids", "segments", "positions")}
    with Launches() as counted:
        Transfer(META).upload(arrays)
    assert counted.operations == 1
    assert counted.copies == 0


def test_a_copy_that_waits_is_seen():
    with Launches() as counted, torch.inference_mode():
        torch.zeros(3).to(META)
        torch.zeros(3).to(META, non_blocking=True)
    assert counted.copies == 1
