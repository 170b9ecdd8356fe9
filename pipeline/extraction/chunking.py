"""Content-defined boundaries of shards: the rows themselves decide where one ends."""

from __future__ import annotations

from collections.abc import Sequence


def shard_boundaries(
    keys: Sequence[bytes], lengths: Sequence[int], *, shard_tokens: int
) -> list[tuple[int, int]]:
    """Cuts rows, in order, into shards of about ``shard_tokens`` tokens.

    A shard ends after a row whose key falls in a fixed part of the key space, once the shard has
    half of ``shard_tokens``; at twice that it ends wherever it is. Since keys come from content,
    rows added at the end leave all earlier shards alone, and an edit in the middle changes the
    shards around it only (content-defined chunking, as in LBFS: Muthitacharoen et al. 2001).

    Args:
        keys: the row keys, in order, without repetition.
        lengths: tokens of each row.
        shard_tokens: the size aimed at.

    Returns:
        ``(first row, row after the last)`` of each shard.
    """
    boundaries: list[tuple[int, int]] = []
    first = tokens = 0
    for row, (key, length) in enumerate(zip(keys, lengths, strict=True)):
        tokens += length
        # On average one token in shard_tokens / 2 ends a shard, after its first shard_tokens / 2.
        chance = min(1.0, 2 * length / shard_tokens)
        ends = int.from_bytes(key[:8]) < chance * 2**64
        if (ends and tokens >= shard_tokens / 2) or tokens >= 2 * shard_tokens:
            boundaries.append((first, row + 1))
            first, tokens = row + 1, 0
    if first < len(keys):
        boundaries.append((first, len(keys)))
    return boundaries
