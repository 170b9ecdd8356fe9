"""Targets of a batch: what a head is to give for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.heads.gold_paths import GoldPaths
from pipeline.heads.indices import Indices


class Targets(Indices):
    """Targets of a batch's texts or words, end to end.

    Args:
        values: (rows, ...) as the label type gives them, in any width of their numbers.
        gold: of a CRF, whose targets they are too.
        device: where losses are computed.
    """

    def __init__(
        self, values: npt.NDArray[Any], gold: GoldPaths | None, device: torch.device
    ) -> None:
        wide = np.float32 if values.dtype.kind == "f" else np.int64
        super().__init__({"values": lambda: self.on_host}, device)
        self.on_host: npt.NDArray[Any] = values.astype(wide)
        self.gold = gold

    @property
    def values(self) -> Tensor:
        """(rows, ...) int64 or float32."""
        return self.index("values")
