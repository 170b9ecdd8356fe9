"""Brings labels and features of one corpus together, and proves that they belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.corpus.storage import Labels
from pipeline.errors import DataError, StoreError, TrainingError
from pipeline.heads.targets import (
    NO_TOKEN,
    class_target,
    first_tokens,
    label_names,
    token_targets,
)
from pipeline.heads.tasks import LABEL_KINDS, Task
from pipeline.store import layout
from pipeline.store.reader import Features


@dataclass(frozen=True)
class Words:
    """Where the words of one example are.

    Attributes:
        first: (words,) int64, the first token of each word within its row, -1 without a token.
        count: (words,) int64, tokens of each word.
    """

    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The examples of one split.

    Attributes:
        ids: one per example.
        rows: (examples,) int64, each example's row of features.
        lengths: (examples,) int64, tokens of each row.
        targets: per example (1,) int64, or (tokens,) int64 for token tasks.
        words: per example, where its words are; none for sequence tasks.
        places: per example (words,) int64, the token of each word; empty for sequence tasks.
        gold: the labels as given.
    """

    ids: list[str]
    rows: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    targets: list[npt.NDArray[Any]]
    places: list[npt.NDArray[np.int64]]
    words: list[Words]
    gold: list[Any]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class HeadData:
    """Everything that a head learns from, besides the states.

    Attributes:
        names: the labels of the training split, in alphabetical order; the head's outputs.
        splits: ``train``, ``dev`` and ``test``.
        report: words without a token, and labels that training never saw, per split.
    """

    names: list[str]
    splits: dict[str, Split]
    report: dict[str, dict[str, int]]


def bring_together(labels: Labels, features: Features, task: Task) -> HeadData:
    """Aligns one label column with the rows of features of the same texts.

    Raises:
        StoreError: the features are of other texts than the labels.
        DataError: the label column is not of the kind that the task learns, or a row's words are
            not as many as its tags.
        TrainingError: a split is empty, or training has fewer than two labels.
    """
    if features.manifest.texts_sha256 != labels.texts_sha256:
        raise StoreError(
            f"{features.folder}: holds features of other texts than the labels are of; "
            "run `dvc repro`"
        )
    if features.example_ids != labels.ids:
        raise StoreError(f"{features.folder}: its examples are not those of the labels")
    if labels.kind not in LABEL_KINDS[task]:
        raise DataError(
            f"the label holds {labels.kind!r}, {task} learns "
            f"{' or '.join(map(repr, LABEL_KINDS[task]))}: "
            "change the head's task or label"
        )
    members = {
        name: [row for row, split in enumerate(labels.splits) if split == name]
        for name in ("train", "dev", "test")
    }
    for name, rows in members.items():
        if not rows:
            raise TrainingError(f"the {name} split is empty; the corpus is too small or its split")
    names = (
        [] if task == "regression" else label_names(labels.values[row] for row in members["train"])
    )
    if len(names) < 2 and task in ("sequence_classification", "token_classification"):
        raise TrainingError(f"training has one label only ({names[0]!r}): nothing to learn")

    places = _places(labels, features) if task == "token_classification" else None
    splits = {name: _split(rows, labels, features, names, places) for name, rows in members.items()}
    return HeadData(names, splits, {name: _report(split, names) for name, split in splits.items()})


def _split(
    members: Sequence[int],
    labels: Labels,
    features: Features,
    names: Sequence[str],
    places: list[npt.NDArray[np.int64]] | None,
) -> Split:
    rows = features.example_rows[members]
    lengths = np.diff(features.row_offsets)[rows]
    gold: list[Any] = [labels.values[member] for member in members]
    if places is None:
        targets = [_target(label, names) for label in gold]
        member_places = [np.zeros(0, np.int64) for _ in members]
    else:
        member_places = [places[member] for member in members]
        targets = [
            token_targets(tags, where, names, tokens=int(length))
            for tags, where, length in zip(gold, member_places, lengths, strict=True)
        ]
    words = [Words(where, (where != NO_TOKEN).astype(np.int64)) for where in member_places]
    ids = [labels.ids[row] for row in members]
    return Split(ids, rows, lengths, targets, member_places, words, gold)


def _target(label: Any, names: Sequence[str]) -> npt.NDArray[Any]:
    if isinstance(label, float):
        return np.array([label], np.float32)
    if isinstance(label, tuple):
        return np.isin(names, label).astype(np.float32)
    return class_target(label, names)


def _places(labels: Labels, features: Features) -> list[npt.NDArray[np.int64]]:
    """The first token of each word of each example."""
    word_index = features.per_token(layout.WORD_INDEX)
    words = features.per_row(layout.ROW_WORDS)
    offsets = features.row_offsets
    places = []
    for example, (row, tags) in enumerate(zip(features.example_rows, labels.values, strict=True)):
        if len(tags) != words[row]:
            raise DataError(
                f"example {labels.ids[example]!r} has {len(tags)} tags and {words[row]} words"
            )
        places.append(first_tokens(word_index[offsets[row] : offsets[row + 1]], int(words[row])))
    return places


def _report(split: Split, names: Sequence[str]) -> dict[str, int]:
    known = set(names)
    unseen: Counter[str] = Counter()
    for gold in split.gold:
        names_of = gold if isinstance(gold, tuple) else (gold,)
        unseen.update(name for name in names_of if isinstance(name, str) and name not in known)
    return {
        "examples": len(split),
        "words_without_a_token": sum(int((place == NO_TOKEN).sum()) for place in split.places),
        "labels_unseen_in_training": sum(unseen.values()),
    }
