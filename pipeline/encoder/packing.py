"""Which rows go through the encoder together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


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
    for row in sorted(range(len(lengths)), key=lambda index: (lengths[index], index)):
        if pack and tokens + lengths[row] > budget:
            yield pack
            pack, tokens = [], 0
        pack.append(row)
        tokens += lengths[row]
    if pack:
        yield pack


def runs_of_equal_length(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Consecutive rows of one length, as ``(number of rows, length)``."""
    runs: list[tuple[int, int]] = []
    for length in lengths:
        if runs and runs[-1][1] == length:
            runs[-1] = (runs[-1][0] + 1, length)
        else:
            runs.append((1, length))
    return runs
