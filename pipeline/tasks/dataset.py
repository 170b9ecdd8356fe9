"""Labelled datasets: labels and features of one corpus, proved to belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import DataError, StoreError, TrainingError
from pipeline.corpus.folds import require_splits
from pipeline.corpus.storage import Labels
from pipeline.features import layout
from pipeline.features.reader import Features
from pipeline.tasks.inputs import Inputs
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.ragged import Ragged
from pipeline.tasks.words import TextWords, Words

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Split(Inputs):
    """Examples of one split, and what is to be learnt of them.

    Attributes:
        ids: one per example.
        targets: per example, as its label type gives them.
        gold: labels as stored.
    """

    ids: list[str]
    targets: Sequence[npt.NDArray[Any]]
    gold: list[Any]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class LabelledDataset:
    """Everything that a head learns from, besides the states.

    Attributes:
        label_type: of its labels.
        names: labels of the training split, in alphabetical order; none for numbers.
        splits: ``train``, ``dev`` and ``test``, or those that were asked for.
        report: words without a token, and labels that training never saw, per split.
    """

    label_type: LabelType
    names: list[str]
    splits: dict[str, Split]
    report: dict[str, dict[str, int]]

    @property
    def pairs_apart(self) -> bool:
        """Whether examples are pairs, each text a row of its own."""
        return self.splits["train"].pairs_apart


def build_dataset(
    labels: Labels,
    features: Features,
    label_type: LabelType,
    *,
    splits: Sequence[str] = SPLITS,
) -> LabelledDataset:
    """Align one label column with the rows of features of the same texts.

    Args:
        labels: the column, in splits.
        features: of the same texts.
        label_type: how the column is learnt.
        splits: those that are read; each must have rows.

    Raises:
        StoreError: the features are of other texts than the labels.
        DataError: a row's words are not as many as its tags, or labels are of words and the texts
            of pairs are apart, or rows are in folds (``by_fold`` gives what each run learns from).
        TrainingError: a split is empty, or training has one label only.
    """
    if features.manifest.texts_sha256 != labels.texts_sha256:
        raise StoreError(
            f"{features.folder}: holds features of other texts than the labels are of; "
            "run `dvc repro`"
        )
    if not features.are_of(labels.ids):
        raise StoreError(f"{features.folder}: its examples are not those of the labels")
    if label_type.on_words and features.pairs_apart:
        raise DataError(
            f"{features.folder}: its pairs of texts are apart, and labels are of words; "
            "labels of words need texts that are words"
        )
    require_splits(labels)
    members = {
        name: [row for row, split in enumerate(labels.splits) if split == name] for name in splits
    }
    for name, rows in members.items():
        if not rows:
            raise TrainingError(f"the {name} split is empty; the corpus is too small or its split")
    train = [labels.values[row] for row in members["train"]]
    distinct = label_type.distinct(train)
    if len(distinct) < 2:
        only = ", ".join(map(repr, distinct)) or "none"
        raise TrainingError(f"training has one label only ({only}): nothing to learn")
    names = label_type.label_names(train)
    found = {
        name: _split(rows, labels, features, label_type, names) for name, rows in members.items()
    }
    report = {name: _report(split, label_type, names) for name, split in found.items()}
    return LabelledDataset(label_type, names, found, report)


def _split(
    members: Sequence[int],
    labels: Labels,
    features: Features,
    label_type: LabelType,
    names: Sequence[str],
) -> Split:
    rows = features.example_rows[members]
    gold: list[Any] = [labels.values[member] for member in members]
    lengths = np.diff(features.row_offsets)[rows]
    words: TextWords | None = None
    if label_type.on_words:
        words = TextWords(_words(members, labels, features), tokens=int(lengths.max()))
    targets = (
        label_type.target(label, names, None if words is None else words[place])
        for place, label in enumerate(gold)
    )
    return Split(
        rows=rows,
        lengths=lengths,
        words=words,
        ids=[labels.ids[row] for row in members],
        targets=Ragged.of(targets, label_type.target_dtype(names)),
        gold=gold,
    )


def _words(members: Sequence[int], labels: Labels, features: Features) -> Iterator[Words]:
    """Yields the words of some examples."""
    word_index = features.per_token(layout.WORD_INDEX)
    counts = features.per_row(layout.ROW_WORDS)
    offsets = features.row_offsets
    for member in members:
        row, tags = features.example_rows[member], len(labels.values[member])
        if tags != counts[row]:
            raise DataError(
                f"example {labels.ids[member]!r} has {tags} tags and {counts[row]} words"
            )
        yield Words.of(word_index[offsets[row] : offsets[row + 1]], int(counts[row]))


def _report(split: Split, label_type: LabelType, names: Sequence[str]) -> dict[str, int]:
    labels: Counter[str] = Counter()
    for gold in split.gold:
        labels.update(label_type.learnt(gold))
    return {
        "examples": len(split),
        "words_without_a_token": sum(int((~w.with_token).sum()) for w in split.words or ()),
        "labels_unseen_in_training": sum(
            count for name, count in labels.items() if name not in names
        ),
    }
