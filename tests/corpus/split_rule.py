"""The splits of a list of inputs, for tests that compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.corpus.records import Text
from pipeline.corpus.splits import draw_splits, keys_of, row_key


def split_rows(
    rows: Sequence[Text],
    strata: Sequence[str] | None,
    *,
    fractions: dict[str, float],
    seed: int,
) -> list[str]:
    keys = keys_of(b"".join(row_key(seed, row) for row in rows))
    ranks = None
    if strata is not None:
        names = sorted(set(strata))
        ranks = np.array([names.index(stratum) for stratum in strata], np.int64)
    return [list(fractions)[index] for index in draw_splits(keys, ranks, [*fractions.values()])]
