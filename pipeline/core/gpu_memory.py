"""A GPU whose memory is full: one line that names the setting to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.core.errors import MachineError

if TYPE_CHECKING:
    import torch

_SIGNS = ("out of memory", "_STATUS_ALLOC_FAILED")
"""What CUDA, MPS, cuDNN and cuBLAS say, in different classes of errors."""


@contextmanager
def naming_what_to_lower(device: torch.device, advice: str) -> Iterator[None]:
    """Turns a GPU's lack of memory while the block runs into an error for the user.

    Args:
        device: where the block computes; on a CPU nothing is turned.
        advice: what was done, and what to change: the line after "out of memory".

    Raises:
        MachineError: the GPU's memory is full.
    """
    try:
        yield
    except RuntimeError as error:
        if device.type == "cpu" or not any(sign in str(error) for sign in _SIGNS):
            raise
        raise MachineError(f"{device}: out of memory {advice}") from None
