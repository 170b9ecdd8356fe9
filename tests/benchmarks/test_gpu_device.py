"""What is CUDA's own, with a CUDA that answers as one would."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu import device

CUDA = torch.device("cuda")


def test_a_device_is_dead_once_it_reports_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: torch.device) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "synchronize", fail)
    assert not device.is_alive(CUDA)
    assert device.is_alive(torch.device("cpu"))


def test_a_limit_is_a_share_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    card = SimpleNamespace(total_memory=16 << 30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    for megabytes in (0, 256, 1 << 20):
        device.limit_memory(megabytes)
    assert shares == [1 / 64, 1.0]


def test_a_card_is_described_also_where_its_driver_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = SimpleNamespace(total_memory=80e9, name="a card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setenv("PATH", "")
    found = device.describe(CUDA)
    assert (found["card"], found["capability"], found["memory_gb"]) == ("a card", [9, 0], 80.0)
    assert found["driver"] is None
    assert "max_q" in found["varlen_attn"]
