"""Arrangements of rows that go through a model together, and which of them a model may take."""

from __future__ import annotations

from enum import Enum

from pipeline.encoder.model import LoadedModel


class Arrangement(Enum):
    """How rows lie in what the model is given; none lets a row's states depend on the others."""

    PACKED = "end to end, every token attending to its whole row"
    PACKED_CAUSAL = "end to end, every token attending to those before it in its row"
    PADDED = "in batches of rows of nearly one length, padded at the end"
    EQUAL = "in batches of rows of one length"

    @property
    def packed(self) -> bool:
        """Whether rows lie end to end in one sequence."""
        return self in (Arrangement.PACKED, Arrangement.PACKED_CAUSAL)


def arrangements(loaded: LoadedModel) -> list[Arrangement]:
    """Those to try with a model, the fastest first."""
    batched = [Arrangement.PADDED, Arrangement.EQUAL]
    if not loaded.packs:
        return batched
    packed = [Arrangement.PACKED]
    if loaded.decodes:  # some were made to see the whole text all the same
        packed.insert(0, Arrangement.PACKED_CAUSAL)
    return packed + batched
