"""Seeded splits that stay put when the corpus changes a little."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.corpus.records import Text, TextPair, fields
from pipeline.files import canonical_json

KEY_BYTES = 16
Keys = npt.NDArray[np.uint64]
"""(rows, 2) uint64, big-endian: the digest of each row's input or group; sorts as its bytes do."""


def row_key(seed: int, text: Text) -> bytes:
    """The digest of a seed and an input."""
    # A pair is no list, so that it is another input than two words.
    value = fields(text) if isinstance(text, TextPair) else text
    return _digest([seed, value])


def group_key(seed: int, group: str) -> bytes:
    """The digest of a seed and the name of a group."""
    return _digest([seed, {"group": group}])


def _digest(value: list[object]) -> bytes:
    return hashlib.sha256(canonical_json(value).encode("utf-8")).digest()[:KEY_BYTES]


def keys_of(digests: bytes | bytearray) -> Keys:
    """Digests end to end, as rows that sort as they do."""
    return np.frombuffer(digests, ">u8").reshape(-1, 2)


def groups_of(keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Groups of rows with equal keys, in the order of keys.

    Returns:
        The rows (in a group: in their order), and where in them each group begins.
    """
    rows = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[rows]
    begins = np.ones(len(rows), bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return rows, np.flatnonzero(begins)


def draw_splits(
    keys: Keys, strata: npt.NDArray[np.int64] | None, fractions: Sequence[float]
) -> npt.NDArray[np.int8]:
    """Assigns each row to a split.

    Rows with equal keys go to one split, so that no test text is trained on. Within each stratum,
    groups are ordered by key, a digest of seed and text, and the ordered rows are cut at the
    cumulative fractions: a row added or relabelled moves at most the rows next to a cut, where a
    shuffled index would move all.

    Args:
        keys: as ``row_key`` or ``group_key`` make them.
        strata: (rows,) for equal shares of each class in every split, the class of each row as its
            place in alphabetical order; a group with conflicting classes counts as its most
            frequent, then first in that order. ``None`` cuts the rows as one stratum.
        fractions: share of each split, in order, adding up to 1.

    Returns:
        (rows,) int8: the index of each row's split.
    """
    rows, begins = groups_of(keys)
    sizes = np.diff(begins, append=len(rows))
    group_strata = np.zeros(len(begins), np.int64)
    if strata is not None:
        group_strata = strata[rows[begins]]
        for group in np.flatnonzero(sizes > 1):
            members = strata[rows[begins[group] : begins[group] + sizes[group]]]
            # argmax takes the first of equals, which is the first in alphabetical order.
            names, counts = np.unique(members, return_counts=True)
            group_strata[group] = names[np.argmax(counts)]
    # The last cut is 1 however the fractions were rounded.
    cuts = np.array([*np.add.accumulate(fractions)[:-1], 1.0])
    splits = np.zeros(len(begins), np.int8)
    for stratum in np.unique(group_strata):
        members = np.flatnonzero(group_strata == stratum)
        ends = np.cumsum(sizes[members])
        # A group belongs to the split that its middle falls in.
        middles = (ends - sizes[members] + sizes[members] / 2) / ends[-1]
        splits[members] = np.searchsorted(cuts, middles, side="left")
    result = np.zeros(len(rows), np.int8)
    result[rows] = np.repeat(splits, sizes)
    return result
