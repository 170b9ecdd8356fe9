"""How busy a device is: kernels on a time line, and what lies between them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from benchmarks.gpu.device import synchronise
from benchmarks.measure import Bar

BUSY = 0.85
"""Share of the time in which kernels are to run."""

_TOLD = 6
"""Longest kernels and gaps that are told."""


class Span(NamedTuple):
    """A kernel, or a copy: when it ran, in microseconds."""

    begin: float
    end: float
    name: str


def busy(run: Callable[[], object], device: torch.device, *, count: int) -> dict[str, Any]:
    """Kernel time over wall time of what is warm already, and what takes longest.

    The wall is that of a run that is not traced: tracing slows the program down, not the kernels.

    Args:
        run: all of the work.
        device: where the kernels run; in a rehearsal they are a CPU's operations.
        count: packs, or steps, that the work consists of.
    """
    from torch.profiler import ProfilerActivity, profile

    synchronise(device)
    begin = time.perf_counter()
    run()
    synchronise(device)
    wall = time.perf_counter() - begin
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as trace:
        run()
        synchronise(device)
    where = "CUDA" if on_gpu else "CPU"
    spans = [
        Span(event.time_range.start, event.time_range.end, event.name)
        for event in trace.events()
        if event.device_type.name == where and not getattr(event, "is_user_annotation", False)
    ]
    return summary(spans, wall=wall, count=count)


def summary(spans: Sequence[Span], *, wall: float, count: int) -> dict[str, Any]:
    """Figures of a time line.

    Args:
        spans: kernels and copies, in any order.
        wall: seconds of the work.
        count: packs or steps, that times are told for one of.
    """
    copies = [span for span in spans if span.name.startswith(("Memcpy", "Memset"))]
    kernels = sorted(set(spans) - set(copies))
    if not kernels:
        raise ValueError("the profiler saw no kernel")
    covered = 0.0
    until = kernels[0].begin
    gaps: list[tuple[float, str, str]] = []
    last = kernels[0]
    for kernel in kernels:
        if kernel.begin > until:
            gaps.append((kernel.begin - until, last.name, kernel.name))
        covered += max(0.0, kernel.end - max(kernel.begin, until))
        if kernel.end >= until:
            until, last = kernel.end, kernel
    times: defaultdict[str, float] = defaultdict(float)
    for span in spans:
        times[span.name] += span.end - span.begin
    longest = sorted(times.items(), key=lambda item: -item[1])[:_TOLD]
    return {
        "busy": Bar(covered / 1e6 / wall, BUSY),
        "wall_ms": 1e3 * wall / count,
        "kernel_ms": covered / 1e3 / count,
        "copy_ms": sum(span.end - span.begin for span in copies) / 1e3 / count,
        "kernels": len(kernels) / count,
        "longest_kernels_ms": {name[:80]: value / 1e3 / count for name, value in longest},
        "longest_gaps_us": [
            [gap, before[:60], after[:60]] for gap, before, after in sorted(gaps)[::-1][:_TOLD]
        ],
    }
