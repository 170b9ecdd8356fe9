"""Tokens of a plan's rows, wherever they are known from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.core.errors import StoreError
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow, TokenisedRows
from pipeline.encoder.windows import Windows
from pipeline.extraction.plan import RowPlan
from pipeline.extraction.token_spool import TokenSpool
from pipeline.extraction.work import ShardWork
from pipeline.features import layout
from pipeline.features.shards import ShardTokens
from pipeline.store.index import RowIndex
from pipeline.store.writer import key_array, row_offsets


class RowTokens:
    """Tokens of a plan's rows: as the store has them, or as they were tokenised for the plan."""

    def __init__(
        self,
        spool: TokenSpool,
        tokenizer: RowTokenizer,
        plan: RowPlan,
        index: RowIndex,
        windows: Windows | None,
    ) -> None:
        self._spool = spool
        self._tokenizer = tokenizer
        self._plan = plan
        self._index = index
        self._windows = windows

    def to_encode(self, work: ShardWork) -> list[TokenisedRow]:
        """The tokens of the rows of a shard that are to be encoded.

        Raises:
            StoreError: a row of the store cannot be encoded; the encoder's tokenizer did not give
                it.
        """
        rows = self.of(work.compute)
        for number, row in zip(work.compute, rows, strict=True):
            if number in self._spool or _can_be_encoded(row, self._tokenizer, self._windows):
                continue
            raise StoreError(
                f"shard {work.shard.name}: text {self._plan.rows.example_of(number)!r} has tokens "
                "in the store that its tokenizer does not give; remove the shards with it, or let "
                "FEATURE_STORE name another store"
            )
        return rows

    def of(self, numbers: Sequence[int]) -> list[TokenisedRow]:
        """The tokens of some rows."""
        spooled = self._spool.read([row for row in numbers if row in self._spool])
        return [
            next(spooled) if row in self._spool else self._stored(self._plan.keys[row])
            for row in numbers
        ]

    def _stored(self, key: bytes) -> TokenisedRow:
        stored = self._index.tokens(key)
        if stored is None:
            raise StoreError("a row of the store has vanished; run `dvc repro` again")
        return TokenisedRow(**stored)


def _can_be_encoded(row: TokenisedRow, tokenizer: RowTokenizer, windows: Windows | None) -> bool:
    """Whether a stored row is one that the encoder can be given; others may have written it."""
    if row.length == 0 or row.input_ids.min() < 0 or row.input_ids.max() > tokenizer.largest_id:
        return False
    if windows is None:
        return tokenizer.max_length is None or row.length <= tokenizer.max_length
    try:
        windows.over(row)
    except ValueError:
        return False
    return True


def shard_tokens(rows: Sequence[TokenisedRow], keys: Sequence[bytes]) -> ShardTokens:
    """The tokens of a shard, of its rows in order."""
    joined = TokenisedRows.join(rows)
    return ShardTokens(
        per_token={name: getattr(joined, name) for name in layout.PER_TOKEN},
        row_offsets=row_offsets(joined.lengths.astype(np.int32)),
        row_keys=key_array(keys),
        row_full_length=joined.full_lengths,
        row_words=joined.words,
    )
