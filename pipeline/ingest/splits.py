"""Seeded splits that stay put when the corpus changes a little."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from pipeline.core.files import canonical_json
from pipeline.corpus.texts import Text, TextPair, fields
from pipeline.ingest.apportionment import MIDDLE, rounding_points
from pipeline.ingest.external_sort import KEY_BYTES, ExternalSort, begins_of_groups


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


class SplitOfRows(Sequence[str]):
    """The split of each row, in a byte of memory."""

    def __init__(self, names: Sequence[str], numbers: npt.NDArray[np.int8]) -> None:
        """Makes the names of (rows,) numbers of splits."""
        self._names = names
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> SplitOfRows: ...
    def __getitem__(self, row: int | slice) -> str | SplitOfRows:
        if isinstance(row, slice):
            return SplitOfRows(self._names, self._numbers[row])
        name: str = self._names[self._numbers[row]]
        return name

    def __iter__(self) -> Iterator[str]:
        return (self._names[number] for number in self._numbers)


def draw_splits(
    groups: ExternalSort,
    strata: npt.NDArray[np.int64] | None,
    fractions: Sequence[float],
    splits: npt.NDArray[np.int8],
    *,
    drawn: int,
) -> None:
    """Assigns rows to splits.

    Rows with equal keys go to one split, so that no test text is trained on. Within each stratum,
    groups are ordered by key, a digest of seed and text, and the ordered rows are cut at the
    cumulative fractions: a row added or relabelled moves at most the rows next to a cut of a
    stratum, where a shuffled index would move all. The group that a cut falls in goes to one side;
    ``pipeline/ingest/apportionment.py`` says which, so that the splits as a whole have their share.

    Args:
        groups: all rows by ``row_key`` or ``group_key``; the first value of each record is the
            number of its row's class.
        strata: for equal shares of each class in every split, the place of each class in
            alphabetical order, by its number; a group with conflicting classes counts as its most
            frequent, then first in that order. ``None`` cuts the rows as one stratum.
        fractions: share of each split, in order, adding up to 1.
        splits: (rows,) the index of each row's split, written here.
        drawn: what ``splits`` holds of the rows that are assigned; others stay.
    """
    totals = np.zeros(1 if strata is None else len(strata), np.int64)
    for _, sizes, stratum_of in _groups(groups, strata, splits, drawn):
        np.add.at(totals, stratum_of, sizes)
    # The last cut is 1 however the fractions were rounded.
    cuts = np.array([*np.add.accumulate(fractions)[:-1], 1.0])
    points = np.full(len(totals), MIDDLE)
    if strata is not None:
        halved = _CutGroups(totals, cuts)
        done = np.zeros_like(totals)
        for _, sizes, stratum_of in _groups(groups, strata, splits, drawn):
            halved.note(_begins(sizes, stratum_of, done), sizes, stratum_of)
        points = rounding_points(halved.begins, halved.sizes, totals, cuts)
    done = np.zeros_like(totals)
    for rows, sizes, stratum_of in _groups(groups, strata, splits, drawn):
        begins = _begins(sizes, stratum_of, done)
        at = (begins + points[stratum_of] * sizes) / totals[stratum_of]
        chosen = np.searchsorted(cuts, at, side="left").astype(np.int8)
        splits[rows] = np.repeat(chosen, sizes)


class _CutGroups:
    """The groups that the cuts of each stratum fall in: (strata, cuts) begins and sizes, in rows.

    A cut that falls between two groups has either.
    """

    def __init__(self, totals: npt.NDArray[np.int64], cuts: npt.NDArray[np.float64]) -> None:
        self._at = totals[:, None] * cuts[:-1]
        self.begins = np.zeros(self._at.shape, np.int64)
        self.sizes = np.zeros(self._at.shape, np.int64)

    def note(
        self,
        begins: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
        stratum_of: npt.NDArray[np.int64],
    ) -> None:
        """Takes in groups."""
        for cut in range(self._at.shape[1]):
            at = self._at[stratum_of, cut]
            hit = np.flatnonzero((begins <= at) & (at <= begins + sizes))
            self.begins[stratum_of[hit], cut] = begins[hit]
            self.sizes[stratum_of[hit], cut] = sizes[hit]


def _begins(
    sizes: npt.NDArray[np.int64],
    stratum_of: npt.NDArray[np.int64],
    done: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """(groups,) the rows of its stratum before each group; ``done``, before all, is moved on."""
    order = np.argsort(stratum_of, kind="stable")
    ends = np.cumsum(sizes[order])
    first = np.searchsorted(stratum_of[order], stratum_of)
    before = np.concatenate([[0], ends])[first]
    begins = np.empty_like(sizes)
    begins[order] = ends - sizes[order]
    begins += done[stratum_of] - before
    np.add.at(done, stratum_of, sizes)
    return begins


def _groups(
    groups: ExternalSort,
    strata: npt.NDArray[np.int64] | None,
    splits: npt.NDArray[np.int8],
    drawn: int,
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yields groups in the order of keys: their rows, one after the other, sizes and strata."""
    for part in groups.parts():
        # What is written meanwhile are rows of parts that were here.
        records = part[splits[part["row"]] == drawn]
        begins = begins_of_groups(records)
        sizes = np.diff(begins, append=len(records))
        stratum_of = (
            np.zeros(len(sizes), np.int64)
            if strata is None
            else _most_frequent(strata[records["values"][:, 0]], sizes)
        )
        yield records["row"], sizes, stratum_of


def _most_frequent(
    classes: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(groups,) the most frequent class of each group of neighbours, of equals the first."""
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((classes, numbers))
    group, name = numbers[order], classes[order]
    new = np.ones(len(group), bool)
    new[1:] = (group[1:] != group[:-1]) | (name[1:] != name[:-1])
    begins = np.flatnonzero(new)
    counts = np.diff(begins, append=len(group))
    group, name = group[begins], name[begins]
    order = np.lexsort((name, -counts, group))
    best: npt.NDArray[np.int64] = name[order][np.searchsorted(group, np.arange(len(sizes)))]
    return best
