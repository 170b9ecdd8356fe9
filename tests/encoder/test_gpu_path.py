"""What of the path on a GPU can be tried without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from families import materialise_family

from pipeline.core.environment import GPU_TOKENS, gpu_tokens
from pipeline.core.errors import MachineError
from pipeline.encoder import forward
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenised import TokenisedRow

CPU = torch.device("cpu")


def row(length: int) -> TokenisedRow:
    return TokenisedRow.bare(np.full(length, 7, np.int32), np.zeros(length, np.int8))


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_the_next_pack_is_queued_before_the_last_one_is_waited_for(
    family, tiny_bert, tmp_path, monkeypatch
):
    encoder = FrozenEncoder(materialise_family(family, tiny_bert, tmp_path), layers=[1], device=CPU)
    encoder._pack_tokens = 64
    events: list[str] = []
    begin = forward._fetch

    def fetch(hidden):
        events.append("queued")
        wait = begin(hidden)

        def waited():
            events.append("waited")
            return wait()

        return waited

    monkeypatch.setattr(forward, "_fetch", fetch)
    assert [index for index, _ in encoder.encode([row(40), row(41), row(42)])] == [0, 1, 2]
    passes = events.count("queued")
    assert passes >= 2
    assert events == ["queued", *["queued", "waited"] * (passes - 1), "waited"]


def test_a_full_gpu_is_one_line_that_names_the_setting(tiny_encoder, monkeypatch):
    encoder = FrozenEncoder(tiny_encoder, layers=[1], device=CPU)
    encoder.device = torch.device("cuda:1")
    encoder._pack_tokens = 4096

    def full(**_inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nMore.")

    monkeypatch.setattr(encoder, "_model", full)
    with pytest.raises(MachineError) as caught:
        list(encoder.encode([row(5)]))
    assert str(caught.value) == (
        "cuda:1: out of memory with 4096 tokens at once; set ICEHOUSE_GPU_TOKENS to less than 4096"
    )


def test_another_failure_is_not_taken_for_a_full_gpu(tiny_encoder, monkeypatch):
    encoder = FrozenEncoder(tiny_encoder, layers=[1], device=CPU)
    encoder.device = torch.device("cuda")

    def broken(**_inputs):
        raise RuntimeError("device-side assert triggered")

    monkeypatch.setattr(encoder, "_model", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        list(encoder.encode([row(5)]))


def test_tokens_at_once_are_set_in_the_environment(monkeypatch):
    monkeypatch.delenv("ICEHOUSE_GPU_TOKENS", raising=False)
    assert gpu_tokens() == GPU_TOKENS
    monkeypatch.setenv("ICEHOUSE_GPU_TOKENS", "2048")
    assert gpu_tokens() == 2048


@pytest.mark.parametrize("value", ["0", "15", "-1", "many", "1e4", "١٦"])
def test_a_number_of_tokens_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("ICEHOUSE_GPU_TOKENS", value)
    with pytest.raises(MachineError, match=r"ICEHOUSE_GPU_TOKENS=.*: must be a whole number"):
        gpu_tokens()
