"""Brings labels and features of one corpus together, and proves that they belong together."""

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
from pipeline.tasks.ragged import Ragged
from pipeline.tasks.targets import (
    IGNORE,
    as_learnt,
    class_target,
    classes_target,
    label_names,
    number_target,
    word_targets,
)
from pipeline.tasks.words import TextWords, Words

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Split(Inputs):
    """The examples of one split, and what is to be learnt of them.

    Attributes:
        ids: one per example.
        targets: per example, as ``pipeline.tasks.targets`` gives them.
        gold: the labels as given.
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
        kind: of the labels, as stored.
        names: the labels of the training split, in alphabetical order; the head's outputs.
        splits: ``train``, ``dev`` and ``test``.
        report: words without a token, and labels that training never saw, per split.
    """

    kind: str
    names: list[str]
    splits: dict[str, Split]
    report: dict[str, dict[str, int]]


def build_dataset(
    labels: Labels, features: Features, *, kinds: Sequence[str], scheme: str | None
) -> LabelledDataset:
    """Aligns one label column with the rows of features of the same texts.

    Args:
        labels: the column.
        features: of the same texts.
        kinds: the kinds of label that the task learns.
        scheme: of the tags that are learned, for entities; ``None`` for tags as they are stored.

    Raises:
        StoreError: the features are of other texts than the labels.
        DataError: the label column is not of a kind that the task learns, or a row's words are not
            as many as its tags, or rows are in folds (``by_fold`` gives what each run learns from).
        TrainingError: a split is empty, or training has one label only.
    """
    if features.manifest.texts_sha256 != labels.texts_sha256:
        raise StoreError(
            f"{features.folder}: holds features of other texts than the labels are of; "
            "run `dvc repro`"
        )
    if not features.are_of(labels.ids):
        raise StoreError(f"{features.folder}: its examples are not those of the labels")
    if labels.kind not in kinds:
        raise DataError(
            f"the label holds {labels.kind!r}, the task learns {' or '.join(map(repr, kinds))}: "
            "change the head's task or label"
        )
    require_splits(labels)
    members = {
        name: [row for row, split in enumerate(labels.splits) if split == name] for name in SPLITS
    }
    for name, rows in members.items():
        if not rows:
            raise TrainingError(f"the {name} split is empty; the corpus is too small or its split")
    train = [labels.values[row] for row in members["train"]]
    on_words = labels.kind in ("tags", "bio")
    distinct = {tag for tags in train for tag in tags} if on_words else set(train)
    if len(distinct) < 2:
        only = ", ".join(map(repr, distinct)) or "none"
        raise TrainingError(f"training has one label only ({only}): nothing to learn")
    names = label_names(train, kind=labels.kind, scheme=scheme)

    splits = {
        name: _split(rows, labels, features, names, scheme, on_words=on_words)
        for name, rows in members.items()
    }
    report = {name: _report(split, labels.kind, names, scheme) for name, split in splits.items()}
    return LabelledDataset(labels.kind, names, splits, report)


def _split(
    members: Sequence[int],
    labels: Labels,
    features: Features,
    names: Sequence[str],
    scheme: str | None,
    *,
    on_words: bool,
) -> Split:
    rows = features.example_rows[members]
    gold: list[Any] = [labels.values[member] for member in members]
    lengths = np.diff(features.row_offsets)[rows]
    words: TextWords | None = None
    if on_words:
        words = TextWords(_words(members, labels, features), tokens=int(lengths.max()))
    targets: Iterator[npt.NDArray[Any]]
    if words is not None:
        targets = (word_targets(t, w, names, scheme) for t, w in zip(gold, words, strict=True))
    elif labels.kind == "class":
        targets = (class_target(label, names) for label in gold)
    elif labels.kind == "classes":
        targets = (classes_target(several, names)[None] for several in gold)
    else:
        targets = (number_target(value)[None] for value in gold)
    dtype: npt.DTypeLike = np.float32
    if labels.kind in ("class", "tags", "bio"):
        dtype = np.min_scalar_type(min(IGNORE, -len(names)))
    return Split(
        rows=rows,
        lengths=lengths,
        words=words,
        ids=[labels.ids[row] for row in members],
        targets=Ragged.of(targets, dtype),
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


def _report(split: Split, kind: str, names: Sequence[str], scheme: str | None) -> dict[str, int]:
    labels: Counter[str] = Counter()
    if kind != "number":
        for gold in split.gold:
            labels.update({gold} if kind == "class" else as_learnt(gold, scheme))
    return {
        "examples": len(split),
        "words_without_a_token": sum(int((~w.with_token).sum()) for w in split.words or ()),
        "labels_unseen_in_training": sum(
            count for name, count in labels.items() if name not in names
        ),
    }
