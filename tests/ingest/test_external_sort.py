"""Records come back in the order of their keys, whatever is in memory and what on disk."""

from __future__ import annotations

import tracemalloc
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ingest.external_sort import KEY_BYTES, ExternalSort, begins_of_groups

# First bytes apart and alike, halves that differ in the first or in the second alone.
keys = st.lists(
    st.sampled_from(
        [
            bytes([first]) * 8 + bytes([last]) * 8
            for first in (0, 1, 128, 255)
            for last in (0, 127, 255)
        ]
    )
    | st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    max_size=60,
)


@given(keys, st.integers(1, 20))
def test_records_are_those_that_were_added_by_key_and_then_by_row(rows: list[bytes], run: int):
    table = ExternalSort(2, run=run)
    for row, key in enumerate(rows):
        table.add(key, -row, row * 2**40)
    assert len(table) == len(rows)
    expected = [
        (key, row, -row, row * 2**40)
        for key, row in sorted((key, row) for row, key in enumerate(rows))
    ]
    for _ in range(2):
        records = [record for part in table.parts() for record in part]
        assert [
            (
                b"".join(int(record[half]).to_bytes(8, "big") for half in ("high", "low")),
                record["row"],
                *record["values"],
            )
            for record in records
        ] == expected
    table.close()


@given(keys, st.integers(1, 20))
def test_equal_keys_are_one_group_of_one_part(rows: list[bytes], run: int):
    table = ExternalSort(run=run)
    for key in rows:
        table.add(key)
    groups = [
        group.tolist()
        for part in table.parts()
        for group in np.split(part["row"], begins_of_groups(part)[1:])
    ]
    assert groups == [
        [row for row, own in enumerate(rows) if own == key] for key in sorted(set(rows))
    ]
    table.close()


def test_memory_does_not_grow_with_the_rows():
    def peak(count: int) -> int:
        tracemalloc.start()
        table = ExternalSort(1, run=1000)
        for row in range(count):
            table.add(sha256(b"%d" % row).digest()[:KEY_BYTES], row)
        assert sum(len(part) for part in table.parts()) == count
        table.close()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    # Of each run the table holds where its parts begin: two bytes a record here, and none of 32.
    assert peak(40_000) < peak(4_000) + 40_000 * 4


def test_a_closed_table_is_gone():
    table = ExternalSort(run=1)
    table.add(bytes(KEY_BYTES))
    table.close()
    with pytest.raises(ValueError, match="closed"):
        next(table.parts())
