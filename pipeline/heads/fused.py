"""Where heads are computed by the library's fused kernels instead of our own: on CUDA.

This is the one place that decides it. On a CPU and on MPS, whose packed networks are loops over
time in torch as well, heads are computed by the code of this room, step by step. On CUDA a layer of
a recurrent network is one call of cuDNN, and what is there for the bits of CPUs, such as filled-up
rows, is left out: each operation costs a launch.

What is promised of bits, by device. On a CPU: the same bits for a text whatever its batch, the
number of threads, and from run to run. On CUDA: outputs and gradients equal the CPU's to rounding
in float32; every sum that we write has one order, so that two runs of one seed on one card, driver
and version of torch differ only where cuDNN or cuBLAS choose another kernel; a text's last bits may
depend on its batch. On MPS: nothing but equality to rounding, untried.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DEVICES = frozenset({"cuda"})
"""Types of the devices whose heads are computed by fused kernels; ROCm calls itself the same."""

STEPS_AHEAD = 50
"""Training steps whose indices go to a GPU in one copy, and whose losses come back in one."""

SCORING_TEXTS = 1 << 12
"""Most texts of a scoring batch on a GPU."""

SCORING_TOKENS = 1 << 16
"""Most tokens of such a batch, where memory allows."""

_SCORING_SHARE = 0.25
"""Of the free memory that a scoring batch may take."""


def is_fused(device: torch.device) -> bool:
    """Whether heads on a device are computed by fused kernels."""
    return device.type in DEVICES


def steps_ahead(device: torch.device) -> int:
    """Training steps between two readings of the loss, which waits for the device."""
    return STEPS_AHEAD if is_fused(device) else 1


@contextmanager
def exact_float32() -> Iterator[None]:
    """Keeps cuDNN to float32 while the block runs; torch lets it take TF32, with 10 bits of 23.

    For whole trainings and not for single calls: backward passes read the flag again.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def free_bytes(device: torch.device) -> int:
    """Memory that tensors on a GPU may still take: the system's, and what torch keeps unused."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept


def scoring_limits(device: torch.device, *, bytes_per_token: int) -> tuple[int, int]:
    """Most texts and most tokens of a scoring batch on a GPU, as far as its memory allows."""
    if device.type != "cuda":  # a test, without a GPU
        return SCORING_TEXTS, SCORING_TOKENS
    room = int(_SCORING_SHARE * free_bytes(device)) // bytes_per_token
    return SCORING_TEXTS, min(SCORING_TOKENS, room)
