"""The tables of ``features.h5``: which row each example has, and which tokens each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.features import layout
from pipeline.features.hdf5 import Hdf5File
from pipeline.features.manifest import Manifest
from pipeline.features.shards import name_of, offsets_problem


@dataclass(frozen=True)
class IndexTables:
    """The example table and the rows.

    Attributes:
        example_rows: (examples,) int64, the row of every example; (examples, 2), the rows of both
            texts, where pairs are apart.
        row_offsets: (rows + 1,) int64, the first token of every row, then the number of tokens.
    """

    example_rows: npt.NDArray[np.int64]
    row_offsets: npt.NDArray[np.int64]


def read_index(file: Hdf5File, manifest: Manifest) -> IndexTables:
    """Reads the tables, which are of the manifest's shards.

    Raises:
        StoreError: they are not, or are not as the format says.
    """
    first_rows = np.cumsum([0, *(shard.rows for shard in manifest.shards)], dtype=np.int64)
    rows, examples = int(first_rows[-1]), file.length(layout.EXAMPLES_ROW)
    if file.has(layout.EXAMPLES_ROW_B) != (manifest.pairs == "apart"):
        raise file.damaged("its examples have not as many rows as the manifest says")
    example_rows = file.array(layout.EXAMPLES_ROW, (examples,), np.int64)
    if manifest.pairs == "apart":
        second = file.array(layout.EXAMPLES_ROW_B, (examples,), np.int64)
        example_rows = np.stack([example_rows, second], axis=1)
    tables = IndexTables(example_rows, file.array(layout.ROWS_OFFSETS, (rows + 1,), np.int64))
    keys = file.array(layout.ROWS_KEYS, (rows, layout.KEY_BYTES), np.uint8)
    tokens = np.cumsum([0, *(shard.tokens for shard in manifest.shards)], dtype=np.int64)
    problem = offsets_problem(tables.row_offsets, manifest.tokens)
    if problem is None and not np.array_equal(tables.row_offsets[first_rows], tokens):
        problem = "its rows do not part the tokens as the shards do"
    if problem is None and file.length(layout.EXAMPLES_ID) != examples:
        problem = "its examples have not one row each"
    if problem is None and not _are_numbered(example_rows.ravel(), rows):
        problem = "its rows are not numbered as the examples first have them"
    if problem is None and not _are_distinct(keys):
        problem = "two of its rows have one key"
    for shard, first in zip(manifest.shards, first_rows.tolist(), strict=False):
        if problem is None and name_of(keys[first : first + shard.rows]) != shard.name:
            problem = f"its rows are not those of shard {shard.name}"
    if problem is not None:
        raise file.damaged(problem)
    return tables


def _are_numbered(example_rows: npt.NDArray[np.int64], rows: int) -> bool:
    """Whether each text has a row that an earlier one has, or the one after all of those."""
    if not len(example_rows):
        return rows == 0
    highest = np.maximum.accumulate(example_rows)
    return bool(
        example_rows[0] == 0
        and example_rows.min() == 0
        and (highest[1:] - highest[:-1] <= 1).all()
        and highest[-1] == rows - 1
    )


def _are_distinct(keys: npt.NDArray[np.uint8]) -> bool:
    """Whether (rows, 32) row keys are; few share their first eight bytes, unless made to."""
    prefixes = np.sort(np.ascontiguousarray(keys[:, :8]).view(np.uint64)[:, 0])
    if not (prefixes[1:] == prefixes[:-1]).any():
        return True
    return len({key.tobytes() for key in keys}) == len(keys)
