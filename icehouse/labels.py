"""Labels of a notebook as a label column: by id, in a split that is given or drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from pipeline.core.errors import DataError
from pipeline.corpus.schemes import first_fault
from pipeline.corpus.spans import OUTSIDE, is_bio
from pipeline.corpus.storage import Labels
from pipeline.features.reader import Features
from pipeline.tasks.registry import label_types_of_task

Fractions: TypeAlias = tuple[float, float, float]
SPLITS = ("train", "dev", "test")
UNLABELLED = "unlabelled"
"""Split of examples that have features and no label; nothing reads it."""


def label_column(
    features: Features,
    labels: Mapping[str, Any],
    *,
    task: str,
    split: Mapping[str, str] | Fractions,
    seed: int,
) -> Labels:
    """A label column in the order of the features' examples.

    Args:
        features: of the labelled texts, and of others, perhaps.
        labels: by id: a class; a collection of classes; a number; or a tag per word, of entities in
            BIO.
        task: that learns them.
        split: ``train``, ``dev`` or ``test`` of each labelled id; or the share of each, to draw.
        seed: of a split that is drawn.

    Raises:
        DataError: an id has no features, a label does not fit the task, or an id has no split.
    """
    ids = features.example_ids
    if unknown := sorted(set(labels) - set(ids)):
        raise DataError(
            f"labels: {len(unknown)} ids have no features, such as {unknown[0]!r}; ids are those "
            "of the corpus that the features were made of"
        )
    values = {row_id: _stored(row_id, label, task) for row_id, label in labels.items()}
    kind = _column_kind(task, values.values())
    if kind == "bio":
        _check_bio(values)
    if isinstance(split, Mapping):
        split_of = _given(split, labels)
    else:
        split_of = _drawn(features, labels, split, seed)
    return Labels(
        ids=ids,
        splits=[split_of.get(row_id, UNLABELLED) for row_id in ids],
        values=[values.get(row_id) for row_id in ids],
        kind=kind,
        texts_sha256=features.manifest.texts_sha256,
    )


def _stored(row_id: str, label: Any, task: str) -> Any:
    """A label as columns hold it."""
    kinds = [own.column_kind for own in label_types_of_task(task)]
    if kinds == ["class"] and isinstance(label, str):
        return label
    if kinds == ["classes"] and not isinstance(label, str):
        return tuple(sorted({str(name) for name in label}))
    if kinds[0] == "number" and isinstance(label, int | float) and not isinstance(label, bool):
        return float(label)
    if kinds[0] == "tags" and not isinstance(label, str):
        return tuple(str(tag) for tag in label)
    raise DataError(f"labels: that of {row_id!r}, {label!r}, is none that {task} learns")


def _column_kind(task: str, values: Any) -> str:
    """What the column holds; tags are those of entities where all are and some begin one."""
    kinds = list(dict.fromkeys(own.column_kind for own in label_types_of_task(task)))
    if kinds == ["tags", "bio"]:
        tags = {tag for row in values for tag in row}
        return "bio" if tags - {OUTSIDE} and all(map(is_bio, tags)) else "tags"
    return kinds[0]


def _check_bio(values: Mapping[str, Sequence[str]]) -> None:
    for row_id, tags in values.items():
        if fault := first_fault(tags, "iob2"):
            raise DataError(f"labels: that of {row_id!r}, word {fault.position + 1}: {fault.why}")


def _given(split: Mapping[str, str], labels: Mapping[str, Any]) -> dict[str, str]:
    for row_id in labels:
        if split.get(row_id) not in SPLITS:
            raise DataError(
                f"split: {row_id!r} is in {split.get(row_id)!r}; every labelled id is in one of "
                f"{', '.join(SPLITS)}"
            )
    return {row_id: split[row_id] for row_id in labels}


def _drawn(
    features: Features, labels: Mapping[str, Any], fractions: Fractions, seed: int
) -> dict[str, str]:
    """A split by digests: ids keep theirs when others are added; equal texts are in one."""
    if len(fractions) != len(SPLITS) or abs(sum(fractions) - 1) > 1e-6 or min(fractions) <= 0:
        raise DataError(f"split: {fractions} are no three shares that add up to 1")
    own = (rows.tobytes() for rows in features.example_rows)  # of pairs apart, those of both texts
    rows = dict(zip(features.example_ids, own, strict=True))
    groups: dict[bytes, list[str]] = {}
    for row_id in labels:
        groups.setdefault(rows[row_id], []).append(row_id)
    # A group is ordered by the digest of its first id, which does not depend on the labels' order.
    members = sorted(
        (sorted(group) for group in groups.values()), key=lambda group: _digest(seed, group[0])
    )
    middles = np.cumsum([len(group) for group in members]) - [len(g) / 2 for g in members]
    places = np.searchsorted(np.cumsum(fractions)[:-1] * len(labels), middles, side="right")
    return {
        row_id: SPLITS[place]
        for group, place in zip(members, places.tolist(), strict=True)
        for row_id in group
    }


def _digest(seed: int, row_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {row_id}".encode()).digest()
