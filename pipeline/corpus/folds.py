"""Corpora in folds: the runs over them, and what each run sees as train, dev and test.

Every fold is tested once, by a run whose best epoch is chosen on the next fold (after the last
comes the first), and which learns from all others.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from pipeline.core.errors import DataError
from pipeline.corpus.storage import Labels

FEWEST = 3
"""Folds: one to test, one to choose by, and one to learn from."""

Fold: TypeAlias = int | None
"""The number of the fold that is tested, from 1; ``None`` where a corpus is not in folds."""

_NAME = re.compile(r"fold_([0-9]+)")


class Run(NamedTuple):
    """One training of a head, or of a model that it is compared with."""

    fold: Fold
    seed: int


def by_fold(labels: Labels) -> dict[Fold, Labels]:
    """The labels as the runs of each fold see them, with splits ``train``, ``dev`` and ``test``.

    Labels that are not in folds are seen as they are.

    Raises:
        DataError: there are fewer than three folds, or some rows are in none.
    """
    present = set(labels.splits)
    numbers = {split: int(found.group(1)) for split in present if (found := _NAME.fullmatch(split))}
    if not numbers:
        return {None: labels}
    if len(numbers) < len(present):
        other = min(present - numbers.keys())
        raise DataError(f"some rows of the corpus are in folds, and some in {other}")
    count = max(numbers.values())
    if count < FEWEST:
        raise DataError(
            f"the corpus has {count} folds, a head needs {FEWEST} or more: one for test, one for "
            "dev, and the others to learn from; raise 'folds' in its split"
        )
    seen: dict[Fold, Labels] = {}
    for fold in range(1, count + 1):
        names = {fold: "test", fold % count + 1: "dev"}
        splits = [names.get(numbers[split], "train") for split in labels.splits]
        seen[fold] = replace(labels, splits=splits)
    return seen


def require_splits(labels: Labels) -> None:
    """Checks that rows are in train, dev and test.

    Raises:
        DataError: they are in folds.
    """
    if None not in by_fold(labels):
        raise DataError(
            "the corpus is in folds, from which `dvc repro` alone learns, fold by fold; give it "
            "another 'split', with train, dev and test"
        )


def run_names(runs: Collection[Run]) -> dict[Run, str]:
    """The names of a head's runs, in files and in metrics.

    They are ``seed_13``; in folds ``fold_1``, or ``fold_1_seed_13`` where there are several seeds.
    """
    several = len({run.seed for run in runs}) > 1
    names = {}
    for run in runs:
        parts = [] if run.fold is None else [f"fold_{run.fold}"]
        if several or not parts:
            parts.append(f"seed_{run.seed}")
        names[run] = "_".join(parts)
    return names
