"""Index arrays of batches, and how they come to a device.

A step of a head reads half a dozen of them. Each by itself would be a copy that waits for the
device, which then has nothing to do; so those of many batches go there in one copy that nothing
waits for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.heads.fused import is_fused

Array = npt.NDArray[Any]
Batch = TypeVar("Batch")


class Indices:
    """Arrays by name: each is made when it is first asked for, and kept on a device.

    Args:
        makers: what makes each array on the host.
        device: where tensors of them are.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Array]], device: torch.device) -> None:
        self.device = device
        self._makers = makers
        self._kept: dict[str, Tensor] = {}

    @property
    def asked(self) -> frozenset[str]:
        """Names that were asked for."""
        return frozenset(self._kept)

    def index(self, name: str) -> Tensor:
        """One array on the device; one that was not staged is copied there now."""
        if name not in self._kept:
            self._kept[name] = torch.from_numpy(self.array(name)).to(self.device)
        return self._kept[name]

    def array(self, name: str) -> Array:
        """One array on the host."""
        return self._makers[name]()

    def keep(self, name: str, tensor: Tensor) -> None:
        """Takes an array that is on the device already."""
        self._kept[name] = tensor


class Staging:
    """Sends the arrays of batches to a device before they are asked for.

    Which arrays a head reads, its batches show: the first one fetches each as it is asked for, and
    what has been asked for is sent ahead for all others, in one copy for each dtype.

    Args:
        device: where they are read.
        ahead: most batches that are sent in one copy.
    """

    def __init__(self, device: torch.device, *, ahead: int) -> None:
        self.device = device
        self._ahead = ahead
        self._asked: defaultdict[str, set[str]] = defaultdict(set)

    def __call__(
        self, batches: Iterator[Batch], parts: Callable[[Batch], Mapping[str, Indices]]
    ) -> Iterator[Batch]:
        """Yields batches whose arrays are on the device, or on their way to it.

        Args:
            batches: whose arrays nobody has asked for.
            parts: the arrays of a batch, by what they are about.
        """
        if not is_fused(self.device):
            yield from batches
            return
        while ahead := list(islice(batches, self._ahead if self._asked else 1)):
            self._send([parts(batch) for batch in ahead])
            for batch in ahead:
                yield batch
                for about, part in parts(batch).items():
                    self._asked[about] |= part.asked

    def _send(self, batches: Sequence[Mapping[str, Indices]]) -> None:
        wanted = [
            (part, name)
            for parts in batches
            for about, part in parts.items()
            for name in sorted(self._asked[about])
        ]
        tensors = in_one_copy([part.array(name) for part, name in wanted], self.device)
        for (part, name), tensor in zip(wanted, tensors, strict=True):
            part.keep(name, tensor)


def in_one_copy(arrays: Sequence[Array], device: torch.device) -> list[Tensor]:
    """Arrays on a device, in one copy for each dtype that nothing waits for."""
    tensors: list[Tensor] = [torch.empty(0)] * len(arrays)
    for dtype in {array.dtype for array in arrays}:
        places = [place for place, array in enumerate(arrays) if array.dtype == dtype]
        together = torch.from_numpy(np.concatenate([arrays[place].ravel() for place in places]))
        if device.type == "cuda":
            together = together.pin_memory()
        sent = together.to(device, non_blocking=True)
        sizes = [arrays[place].size for place in places]
        for place, part in zip(places, sent.split(sizes), strict=True):
            tensors[place] = part.view(arrays[place].shape)
    return tensors
