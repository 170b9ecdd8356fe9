"""The machine that all figures are of, and what it lacks."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.gpu.inputs import Bench
    from benchmarks.gpu.runner import Part

NEEDED = {
    "torch": "torch",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "numpy": "numpy",
    "h5py": "h5py",
    "pydantic": "pydantic",
    "click": "click",
    "ruamel.yaml": "ruamel.yaml",
    "tqdm": "tqdm",
    "typing_extensions": "typing-extensions",
}
"""Packages by the module that is imported: without any of them nothing runs here."""

ASKED_FOR = ("sentence-transformers", "dvc", "icehouse")
"""Packages that a step takes where they are installed."""

_BLOCK_MB = 64


def missing() -> list[str]:
    """Needed packages that are not installed."""
    return [package for module, package in NEEDED.items() if not _is_here(module)]


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent of a module in a namespace
        return False


def machine(bench: Bench) -> Iterator[Part]:
    """Card, driver, versions, cores, and the folder's disk."""
    import torch

    from benchmarks.gpu.device import describe
    from pipeline.core.environment import describe_machine

    yield (
        "host",
        lambda: {
            **describe_machine(bench.device, torch.get_num_threads()),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
    )
    yield "device", lambda: describe(bench.device)
    yield "versions", lambda: {name: _version(name) for name in (*NEEDED.values(), *ASKED_FOR)}
    yield "compute_dtypes", lambda: bench.dtypes
    yield "disk", lambda: _disk(bench)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _disk(bench: Bench) -> dict[str, Any]:
    """Gigabytes a second that this run's folder takes, synchronised as shards are."""
    blob = os.urandom(bench.size(_BLOCK_MB, 1) << 20)
    begin = time.perf_counter()
    with (bench.folder / "disk").open("wb") as file:
        file.write(blob)
        file.flush()
        os.fsync(file.fileno())
    return {"write_gb_per_s": len(blob) / 1e9 / (time.perf_counter() - begin)}
