"""The machine that all figures are of, and what it lacks."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

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


def missing() -> list[str]:
    """Needed packages that are not installed."""
    return [package for module, package in NEEDED.items() if not _is_here(module)]


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the parent of a module in a namespace
        return False


def machine(bench: Bench) -> Iterator[Part]:
    """Card, driver, versions and cores."""
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


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
