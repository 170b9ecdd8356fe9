"""Tokens of the rows that an extraction tokenises, kept from its plan until they are encoded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.encoder.tokenised import TokenisedRow, TokenisedRows

_TOKEN = np.dtype(
    [
        ("input_ids", np.int32),
        ("segment_ids", np.int8),
        ("word_index", np.int32),
        ("char_offsets", np.int32, (2,)),
    ]
)
_HELD_BYTES = 1 << 26
"""Size up to which they stay in memory: some four million tokens."""


class TokenSpool:
    """Tokenised rows by number, in memory or, where they are many, in a nameless file.

    Memory: 20 bytes per row of the corpus, and what is held. To be used by one thread at a time.

    Args:
        rows: of the corpus; those that are never added are known otherwise.
        folder: where the file is made.
    """

    def __init__(self, rows: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.SpooledTemporaryFile(_HELD_BYTES, dir=str(folder))  # noqa: SIM115
        self._begins = np.full(rows, -1, np.int64)  # in tokens; -1 where it was not added
        self._lengths = np.zeros(rows, np.int32)
        self._full_lengths = np.zeros(rows, np.int32)
        self._words = np.zeros(rows, np.int32)
        self._tokens = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def __contains__(self, number: int) -> bool:
        return bool(self._begins[number] >= 0)

    def add(self, numbers: Sequence[int], rows: TokenisedRows) -> None:
        """Adds rows by their numbers in the corpus."""
        tokens = np.empty(len(rows.input_ids), _TOKEN)
        for name in _TOKEN.fields or {}:
            tokens[name] = getattr(rows, name)
        self._begins[numbers] = self._tokens + np.cumsum(rows.lengths) - rows.lengths
        self._lengths[numbers] = rows.lengths
        self._full_lengths[numbers] = rows.full_lengths
        self._words[numbers] = rows.words
        self._tokens += len(tokens)
        self._file.write(tokens.data)

    def read(self, numbers: Sequence[int]) -> Iterator[TokenisedRow]:
        """Yields rows that were added, in the order asked for.

        Args:
            numbers: of the rows; those that follow each other in the file are read in one go.
        """
        chosen = np.asarray(numbers, np.int64)
        begins, lengths = self._begins[chosen], self._lengths[chosen].astype(np.int64)
        new_run = np.flatnonzero(begins[1:] != begins[:-1] + lengths[:-1]) + 1
        for run in np.split(np.arange(len(chosen)), new_run):
            if len(run):
                rows = self._run(chosen[run], int(begins[run[0]]), lengths[run])
                yield from (rows[place] for place in range(len(rows)))

    def _run(
        self, numbers: npt.NDArray[np.int64], begin: int, lengths: npt.NDArray[np.int64]
    ) -> TokenisedRows:
        self._file.seek(begin * _TOKEN.itemsize)
        tokens = np.frombuffer(self._file.read(int(lengths.sum()) * _TOKEN.itemsize), _TOKEN)
        return TokenisedRows(
            **{name: np.ascontiguousarray(tokens[name]) for name in _TOKEN.fields or {}},
            lengths=lengths,
            full_lengths=self._full_lengths[numbers],
            words=self._words[numbers],
        )
