"""Copies between the CPU and the device that computes, which on a CUDA GPU wait for nothing.

What goes up is laid into one array and pinned memory; what comes back is copied by a stream of its
own into pinned memory, while the next pack computes. Torch keeps pinned memory that is let go of
and hands it out again when the copies with it are done: a ring of buffers as long as the number of
packs that are under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Transfer:
    """Copies to and from one device.

    Args:
        device: a GPU, or the CPU, where nothing is copied.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._downloads = torch.cuda.Stream(device) if device.type == "cuda" else None

    def upload(self, arrays: Mapping[str, npt.NDArray[np.int32]]) -> dict[str, Tensor]:
        """The arrays on the device, int32, in one copy.

        Args:
            arrays: of any shapes.
        """
        flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays.values()]))
        if self._downloads is not None:
            flat = flat.pin_memory()
        # A Mac's GPU may read memory after it was let go of.
        parts = flat.to(self.device, non_blocking=self.device.type != "mps").split(
            [array.size for array in arrays.values()]
        )
        return {
            name: part.view(array.shape)
            for (name, array), part in zip(arrays.items(), parts, strict=True)
        }

    def download(self, tensors: Mapping[int, Tensor]) -> Callable[[], dict[int, Tensor]]:
        """Begins to bring tensors to the CPU, and returns what waits for them.

        Args:
            tensors: on the device, contiguous; nothing may be written to them any more.
        """
        if self._downloads is None:
            here = {name: tensor.cpu() for name, tensor in tensors.items()}
            return lambda: here
        stream = self._downloads
        stream.wait_stream(torch.cuda.current_stream(self.device))
        pinned = {
            name: torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            for name, tensor in tensors.items()
        }
        with torch.cuda.stream(stream):
            for name, tensor in tensors.items():
                pinned[name].copy_(tensor, non_blocking=True)
                tensor.record_stream(stream)  # or its memory would be written to by then
        copied = torch.cuda.Event(blocking=True)  # a thread that waits leaves its core to others
        copied.record(stream)

        def wait() -> dict[int, Tensor]:
            copied.synchronize()
            return pinned

        return wait
