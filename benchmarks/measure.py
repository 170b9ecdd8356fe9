"""What all benchmarks share: interleaved rounds, a table, and one line of JSON with the bars."""

from __future__ import annotations

import json
import logging
import platform
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ROUNDS = 5
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Bar:
    """A value measured and what it is measured against; ``at_most`` says from which side."""

    value: float
    bound: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the value is on the right side of the bound."""
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def as_json(self) -> dict[str, Any]:
        """The value to three digits after the point, its bound, and whether it is met."""
        return {"value": round(self.value, 3), "bound": self.bound, "met": self.met}


def interleaved(
    contestants: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS
) -> dict[str, float]:
    """Median seconds of each contestant over rounds of A B C A B C ..., after one warm-up each."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            begin = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def table(title: str, rows: Mapping[str, float], unit: str) -> None:
    """Prints one value per contestant."""
    print(title)
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"  {name:{width}}  {value:12,.1f} {unit}")


def report(benchmark: str, bars: Mapping[str, Bar]) -> None:
    """Prints the bars, and as the last line all of it as one JSON object."""
    width = max(map(len, bars))
    for name, bar in bars.items():
        sign = "<=" if bar.at_most else ">="
        verdict = "met" if bar.met else "MISSED"
        print(f"  {name:{width}}  {bar.value:8.2f}  {sign} {bar.bound:<6g} {verdict}")
    content = {
        "benchmark": benchmark,
        "machine": machine(),
        "bars": {name: bar.as_json() for name, bar in bars.items()},
    }
    print(json.dumps(content))


def peak_private_megabytes(run: Callable[[], object]) -> float:
    """Peak private memory while something runs: what is mapped from files is not counted."""
    if not STATUS.exists():
        raise SystemExit("private memory is read from /proc, which this system does not have")
    ended = threading.Event()
    peak = [0.0]

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], _private_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        ended.set()
        watcher.join()
    return peak[0]


def _private_megabytes() -> float:
    for line in STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            return float(value.split()[0]) / 1e3
    raise SystemExit(f"{STATUS} does not say how much memory is private")


@contextmanager
def collected_logs() -> Iterator[list[str]]:
    """Collect what the pipeline logs while the block runs, a message per record."""
    handler = _Collector()
    logger = logging.getLogger("pipeline")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def peak_flops(
    device: torch.device | None = None, dtype: torch.dtype | None = None, size: int = 2048
) -> float:
    """Floating-point operations per second of large matrix products, by default float32 here.

    On a GPU enough of them are queued that their launches do not count.
    """
    import torch

    left, right = (torch.randn(size, size, device=device).to(dtype or torch.float32) for _ in "ab")
    times = 1 if left.device.type == "cpu" else 20

    def products() -> None:
        for _ in range(times):
            product = left @ right
        product[0, 0].item()  # waits for them

    return 2 * size**3 * times / interleaved({"product": products})["product"]


def machine() -> str:
    """The CPU, its number of cores in use by torch, and torch's version."""
    import torch

    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name")).split(":")[1].strip()
    except (OSError, StopIteration):
        pass  # not Linux: the architecture has to do
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"
