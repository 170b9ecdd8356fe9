"""All that is CUDA's own. On a CPU, in a rehearsal, each says nothing or does nothing."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch

from pipeline.heads import fused


def synchronise(device: torch.device) -> None:
    """Waits for all that is queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def is_alive(device: torch.device) -> bool:
    """Whether kernels still run: after an illegal access none does, in the whole process."""
    if device.type != "cuda":
        return True
    try:
        torch.cuda.synchronize(device)
        return bool(torch.ones(1, device=device).item() == 1)
    except RuntimeError:
        return False


def forget(device: torch.device) -> None:
    """Gives back memory that nothing holds, so that one step leaves the next one all of it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Most memory that tensors took since the step began."""
    if device.type != "cuda":
        return {}
    return {"peak_gb": torch.cuda.max_memory_allocated(device) / 1e9}


def limit_memory(megabytes: int) -> None:
    """Lets this process take so much of the first GPU's memory and no more; 0 is all of it."""
    if megabytes and torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, megabytes * (1 << 20) / total))


def describe(device: torch.device) -> dict[str, Any]:
    """The card, its driver, the libraries of this build of torch, and what attention takes."""
    found: dict[str, Any] = {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "varlen_attn": _options_of_attention(),
    }
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        found |= {
            "card": card.name,
            "capability": list(torch.cuda.get_device_capability(device)),
            "memory_gb": card.total_memory / 1e9,
            "driver": _driver(),
        }
    return found


def _options_of_attention() -> list[str] | None:
    """What torch's attention over rows of different lengths takes; ``None`` where there is none."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return list(inspect.signature(varlen_attn).parameters)


def _driver() -> str | None:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0]


@contextmanager
def heads_as_on(device: torch.device) -> Iterator[None]:
    """Lets heads take a GPU's way while the block runs, also where a CPU rehearses it."""
    with mock.patch.object(fused, "DEVICES", fused.DEVICES | {device.type}):
        yield
