"""The splits of a list of inputs, for tests that compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.corpus.texts import Text
from pipeline.ingest.external_sort import ExternalSort
from pipeline.ingest.splits import draw_splits, row_key


def split_rows(
    rows: Sequence[Text],
    strata: Sequence[str] | None,
    *,
    fractions: dict[str, float],
    seed: int,
) -> list[str]:
    names = sorted(set(strata or ()))
    # Runs of seven records, so that some corpora are sorted on disk.
    groups = ExternalSort(1, run=7)
    for place, row in enumerate(rows):
        groups.add(row_key(seed, row), names.index(strata[place]) if strata else 0)
    splits = np.full(len(rows), -1, np.int8)
    draw_splits(
        groups,
        np.arange(len(names)) if strata else None,
        [*fractions.values()],
        splits,
        drawn=-1,
    )
    groups.close()
    return [list(fractions)[index] for index in splits]
