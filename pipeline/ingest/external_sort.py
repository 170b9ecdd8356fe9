"""Records of rows in the order of their keys, sorted on disk where there are many."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

KEY_BYTES = 16
RUN = 1 << 13
"""Records that are sorted in memory at once."""

_PARTS = 256


class ExternalSort:
    """Records that are added in the order of rows and read back in the order of keys.

    An external sort: every run of ``RUN`` records is sorted in memory and goes to a temporary file;
    reading gathers a part of the keys (those with one first byte) from all runs, and sorts it. So a
    million records need the memory of a few thousand. Keys must be digests: a part holds as many as
    any other. Records that fit one run never leave memory.
    """

    def __init__(self, values: int = 0, *, run: int = RUN) -> None:
        """Makes an empty table.

        Args:
            values: how many integers a record holds besides its key and its row.
            run: how many records are sorted in memory at once.
        """
        self._dtype = np.dtype(
            [("high", ">u8"), ("low", ">u8"), ("row", "<i8"), ("values", "<i8", (values,))]
        )
        self._pack = struct.Struct(f"<{KEY_BYTES}s{1 + values}q").pack
        self._rows = 0
        self._run = bytearray()
        self._run_bytes = run * self._dtype.itemsize
        self._file: IO[bytes] | None = None
        # Of each run: where each part begins in the file, and where the last ends.
        self._begins: list[npt.NDArray[np.int64]] = []

    def __len__(self) -> int:
        return self._rows

    def add(self, key: bytes, *values: int) -> None:
        """Adds the record of the next row; each value is a signed integer of 64 bits."""
        self._run += self._pack(key, self._rows, *values)
        self._rows += 1
        if len(self._run) == self._run_bytes:
            self._write_run()

    def parts(self) -> Iterator[npt.NDArray[np.void]]:
        """Yields all records: parts in the order of keys, in each by key, then by row.

        Records with equal keys are in one part. Fields: ``high`` and ``low``, the halves of the
        key; ``row``; ``values``, (records, values) int64.
        """
        if self._file is None:
            if self._run:
                yield _in_order(np.frombuffer(self._run, self._dtype))
            return
        if self._run:
            self._write_run()
        for part in range(_PARTS):
            pieces = []
            for begins in self._begins:
                self._file.seek(begins[part])
                pieces.append(self._file.read(begins[part + 1] - begins[part]))
            if records := b"".join(pieces):
                yield _in_order(np.frombuffer(records, self._dtype))

    def close(self) -> None:
        """Gives memory and disk back; there is nothing left to read."""
        self._run.clear()
        if self._file is not None:
            self._file.close()

    def _write_run(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        records = _in_order(np.frombuffer(self._run, self._dtype))
        firsts = (records["high"] >> np.uint64(56)).astype(np.int64)
        begins = np.searchsorted(firsts, np.arange(_PARTS + 1)) * self._dtype.itemsize
        self._begins.append(self._file.seek(0, 2) + begins)
        self._file.write(records.tobytes())
        self._run = bytearray()


def begins_of_groups(records: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Begins of groups of equal keys, in records that are in order."""
    begins = np.ones(len(records), bool)
    high, low = records["high"], records["low"]
    begins[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return np.flatnonzero(begins)


def _in_order(records: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    # The sort is stable, and records of one key come in the order of rows.
    return records[np.lexsort((records["low"], records["high"]))]
