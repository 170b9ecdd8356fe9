"""What of the path on a GPU can be tried without one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from families import materialise_family

from pipeline.core.environment import GPU_TOKENS, SMALL_GPU_TOKENS, gpu_tokens
from pipeline.core.errors import MachineError
from pipeline.encoder import forward
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.encoder.transfer import Transfer

CPU = torch.device("cpu")


def row(length: int) -> TokenisedRow:
    return TokenisedRow.bare(np.full(length, 7, np.int32), np.zeros(length, np.int8))


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_the_next_pack_is_queued_before_the_last_one_is_waited_for(
    family, tiny_bert, tmp_path, monkeypatch
):
    encoder = FrozenEncoder(materialise_family(family, tiny_bert, tmp_path), layers=[1], device=CPU)
    encoder.pack_tokens = 64
    events: list[str] = []
    begin = encoder._transfer.download

    def download(tensors):
        events.append("queued")
        wait = begin(tensors)

        def waited():
            events.append("waited")
            return wait()

        return waited

    monkeypatch.setattr(encoder._transfer, "download", download)
    assert [index for index, _ in encoder.encode([row(40), row(41), row(42)])] == [0, 1, 2]
    passes = events.count("queued")
    assert passes >= 2
    assert events == ["queued", *["queued", "waited"] * (passes - 1), "waited"]


@pytest.mark.parametrize("family", ["bert", "mpnet"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_packs_have_every_token_once_in_the_precision_asked_for(family, dtype, tiny_bert, tmp_path):
    encoder = FrozenEncoder(
        materialise_family(family, tiny_bert, tmp_path), layers=[0, 2], device=CPU
    )
    encoder.pack_tokens = 64
    rows = [row(length) for length in (40, 3, 41, 17, 17, 42, 1)]
    expected = dict(encoder.encode(rows))
    seen = []
    for pack in encoder.encode_packs(rows, dtype):
        states = pack.fetch()
        assert states.finite == {0: True, 2: True}
        for layer, values in states.by_layer.items():
            assert values.dtype == dtype
            assert len(values) == sum(piece.end - piece.begin for piece in pack.pieces)
            for piece in pack.pieces:
                assert (piece.begin, piece.end) == (0, rows[piece.row].length)
                whole = torch.from_numpy(expected[piece.row][layer]).to(dtype)
                assert torch.equal(values[piece.tokens], whole)
        seen += [piece.row for piece in pack.pieces]
    assert sorted(seen) == list(range(len(rows)))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 70000.0])
def test_a_pack_tells_which_layer_has_states_that_are_not_finite(value, tiny_encoder, monkeypatch):
    encoder = FrozenEncoder(tiny_encoder, layers=[0, 1], device=CPU)
    whole = encoder._run

    @torch.inference_mode()
    def with_one(arrays, lengths=None):
        hidden = {layer: states.clone() for layer, states in whole(arrays, lengths).items()}
        hidden[1][0, 3, 2] = value
        hidden[0][0, sum(lengths) - 1, 0] = value  # a dummy's, which is nobody's
        return hidden

    monkeypatch.setattr(encoder, "_run", with_one)
    [pack] = encoder.encode_packs([row(5)], torch.float16)
    assert pack.fetch().finite == {0: True, 1: False}


def test_what_goes_up_arrives_as_it_was():
    arrays = {
        "ids": np.arange(6, dtype=np.int32).reshape(1, 6),
        "none": np.zeros(0, np.int32),
        "mask": np.ones((2, 3), np.int32),
    }
    for name, tensor in Transfer(CPU).upload(arrays).items():
        assert tensor.dtype == torch.int32
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])


def test_a_full_gpu_is_one_line_that_names_the_setting(tiny_encoder, monkeypatch):
    encoder = FrozenEncoder(tiny_encoder, layers=[1], device=CPU)
    encoder.device = torch.device("cuda:1")
    encoder.pack_tokens = 4096

    def full(*_inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nMore.")

    monkeypatch.setattr(forward, "run_layers", full)
    with pytest.raises(MachineError) as caught:
        list(encoder.encode([row(5)]))
    assert str(caught.value) == (
        "cuda:1: out of memory with 4096 tokens at once; set ICEHOUSE_GPU_TOKENS to less than 4096"
    )


def test_another_failure_is_not_taken_for_a_full_gpu(tiny_encoder, monkeypatch):
    encoder = FrozenEncoder(tiny_encoder, layers=[1], device=CPU)
    encoder.device = torch.device("cuda")

    def broken(*_inputs):
        raise RuntimeError("device-side assert triggered")

    monkeypatch.setattr(forward, "run_layers", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        list(encoder.encode([row(5)]))


def test_tokens_at_once_are_set_in_the_environment(monkeypatch):
    monkeypatch.delenv("ICEHOUSE_GPU_TOKENS", raising=False)
    assert gpu_tokens(torch.device("mps")) == SMALL_GPU_TOKENS
    monkeypatch.setenv("ICEHOUSE_GPU_TOKENS", "2048")
    assert gpu_tokens(torch.device("cuda")) == 2048


@pytest.mark.parametrize(
    ("total", "tokens"), [(79 << 30, GPU_TOKENS), (15.7 * 2**30, GPU_TOKENS), (8 << 30, 16384)]
)
def test_a_large_gpu_takes_more_at_once(monkeypatch, total, tokens):
    monkeypatch.delenv("ICEHOUSE_GPU_TOKENS", raising=False)
    card = SimpleNamespace(total_memory=total)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    assert gpu_tokens(torch.device("cuda")) == tokens


@pytest.mark.parametrize("value", ["0", "15", "-1", "many", "1e4", "١٦"])
def test_a_number_of_tokens_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("ICEHOUSE_GPU_TOKENS", value)
    with pytest.raises(MachineError, match=r"ICEHOUSE_GPU_TOKENS=.*: must be a whole number"):
        gpu_tokens(torch.device("cuda"))
