"""Packs and batches: which rows go through the encoder together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.core.environment import gpu_tokens
from pipeline.core.kernels import MINIMUM_ROWS

if TYPE_CHECKING:
    import torch

PACK_TOKENS = 1536
"""Largest pack on a CPU, in tokens. Fewer are slower, and where few rows are computed, as
after an edit, more are wasted on dummies. Measured with MiniLM and 2 threads: on an Intel Xeon 2048
is as fast; on an AMD EPYC with less cache, states of more than 1024 had cost time."""

DUMMY_TOKENS = MINIMUM_ROWS
"""Shortest dummy row, in tokens, and so the least that is added to a pack: a token is a row of the
encoder's matrix products."""

PADDED_STEP = MINIMUM_ROWS
"""Step of padded lengths: each text alone has tokens enough for its products."""


def pack_tokens(device: torch.device) -> int:
    """Most tokens of a pack on a device."""
    return PACK_TOKENS if device.type == "cpu" else gpu_tokens(device)


def pack_by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Groups rows, shortest first, into packs of at most ``budget`` tokens.

    Rows of one length stand together in a pack, so that attention runs over them as one batch. A
    row longer than the budget is a pack of its own.

    Args:
        lengths: tokens of each row.
        budget: most tokens of a pack.

    Yields:
        Indices into ``lengths``; every row once.
    """
    pack: list[int] = []
    tokens = 0
    for row in _by_length(lengths):
        if pack and tokens + lengths[row] > budget:
            yield pack
            pack, tokens = [], 0
        pack.append(row)
        tokens += lengths[row]
    if pack:
        yield pack


def batches_of_one_size(
    lengths: Sequence[int], budget: int, *, longest: int, step: int = PADDED_STEP
) -> Iterator[tuple[int, int, list[int]]]:
    """Groups rows, shortest first, into padded batches whose shape follows from the length alone.

    Args:
        lengths: tokens of each row.
        budget: most tokens of a batch, padding included, but for rows that are longer themselves.
        longest: most tokens of a row that the encoder has positions for.
        step: padded lengths are multiples of it; with 1 nothing is padded.

    Yields:
        ``(rows of the batch, padded length, indices into lengths)``; there may be fewer indices
        than rows, and every row comes once.
    """
    padded = [min(-(-length // step) * step, longest) for length in lengths]
    batch: list[int] = []
    for row in _by_length(padded):
        if batch and (
            padded[row] != padded[batch[0]] or len(batch) == _rows(padded[batch[0]], budget)
        ):
            yield _rows(padded[batch[0]], budget), padded[batch[0]], batch
            batch = []
        batch.append(row)
    if batch:
        yield _rows(padded[batch[0]], budget), padded[batch[0]], batch


def runs_of_equal_length(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive rows of one length, as ``(number of rows, length)``."""
    runs: list[tuple[int, int]] = []
    for length in lengths:
        if runs and runs[-1][1] == length:
            runs[-1] = (runs[-1][0] + 1, length)
        else:
            runs.append((1, length))
    return runs


def dummy_lengths(tokens: int, budget: int) -> list[int]:
    """Lengths of the dummy rows that bring a pack to ``budget + DUMMY_TOKENS`` tokens.

    All are ``DUMMY_TOKENS`` long but one, which takes the rest. A single row beyond the budget has
    a pack of its own, whose size is its own alone.
    """
    missing = max(0, budget - tokens) + DUMMY_TOKENS
    count, rest = divmod(missing, DUMMY_TOKENS)
    return [*[DUMMY_TOKENS] * (count - 1), DUMMY_TOKENS + rest]


def _by_length(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda row: (lengths[row], row))


def _rows(padded: int, budget: int) -> int:
    """Rows of a batch; at least two, for a single row takes other kernels than a batch does."""
    return max(2, budget // padded)
