"""Time lines: how much of the time kernels cover, and what lies between them."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.traces import Span, busy, summary


def test_kernels_that_overlap_count_once_and_copies_not_at_all() -> None:
    spans = [
        Span(0, 100, "gemm"),
        Span(50, 150, "softmax"),  # beside the first
        Span(60, 70, "norm"),  # inside
        Span(250, 300, "gemm"),
        Span(150, 240, "Memcpy DtoH (Device -> Pinned)"),
    ]
    found = summary(spans[::-1], wall=500e-6, count=2)
    assert found["busy"].value == pytest.approx(200 / 500)
    assert not found["busy"].met
    assert found["wall_ms"] == pytest.approx(0.25)
    assert found["kernel_ms"] == pytest.approx(0.1)
    assert found["copy_ms"] == pytest.approx(0.045)
    assert found["kernels"] == 2
    assert list(found["longest_kernels_ms"]) == [
        "gemm",
        "softmax",
        "Memcpy DtoH (Device -> Pinned)",
        "norm",
    ]
    assert found["longest_gaps_us"] == [[100, "softmax", "gemm"]]


def test_the_longest_gaps_come_first() -> None:
    spans = [Span(0, 1, "a"), Span(3, 4, "b"), Span(9, 10, "c"), Span(11, 12, "d")]
    gaps = summary(spans, wall=1.0, count=1)["longest_gaps_us"]
    assert gaps == [[5, "b", "c"], [2, "a", "b"], [1, "c", "d"]]


def test_a_trace_without_kernels_is_an_error() -> None:
    with pytest.raises(ValueError, match="no kernel"):
        summary([Span(0, 1, "Memset (Device)")], wall=1.0, count=1)


def test_a_traced_run_has_the_operations_that_ran() -> None:
    values = torch.ones(64, 64)
    found = busy(lambda: [values @ values for _ in range(3)], torch.device("cpu"), count=3)
    assert found["longest_kernels_ms"]["aten::mm"] > 0
    assert found["wall_ms"] > 0
