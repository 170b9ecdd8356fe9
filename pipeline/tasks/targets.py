"""Labels as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.corpus.schemes import bio_to_bioes
from pipeline.tasks.words import Words

IGNORE = -100
"""Target of a label that training never saw; torch's default ``ignore_index``."""


def label_names(values: Iterable[Any], *, kind: str, scheme: str | None) -> list[str]:
    """What a head can answer: the distinct labels, in alphabetical order; none for numbers.

    Args:
        values: the labels of the training split, tags of entities in BIO.
        kind: ``class``, ``classes``, ``number``, ``tags`` or ``bio``.
        scheme: of the tags that the head learns.
    """
    if kind == "number":
        return []
    names: set[str] = set()
    for value in values:
        names.update({value} if kind == "class" else as_learnt(value, scheme))
    return sorted(names)


def class_target(label: str, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """(1,) int64: the index of a class, ``IGNORE`` if training never saw it."""
    return np.array([names.index(label) if label in names else IGNORE], np.int64)


def classes_target(labels: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.float32]:
    """(labels,) float32: 1 for each class that a text has, 0 for the others."""
    return np.array([name in labels for name in names], np.float32)


def number_target(value: float) -> npt.NDArray[np.float32]:
    """(1,) float32."""
    return np.array([value], np.float32)


def word_targets(
    tags: Sequence[str], words: Words, names: Sequence[str], scheme: str | None
) -> npt.NDArray[np.int64]:
    """(words that have a token,) int64: the index of each tag, ``IGNORE`` if training never saw it.

    Args:
        tags: one per word, in BIO if they are of entities.
        words: where they stand.
        names: the tags that the head knows.
        scheme: that it knows them in; ``None`` for plain tags.

    Raises:
        ValueError: there is not one tag per word.
    """
    if len(tags) != len(words.first):
        raise ValueError(f"{len(tags)} tags for {len(words.first)} words")
    index = {name: position for position, name in enumerate(names)}
    return np.array(
        [
            index.get(tag, IGNORE)
            for tag, present in zip(as_learnt(tags, scheme), words.with_token, strict=True)
            if present
        ],
        np.int64,
    )


def as_learnt(labels: Sequence[str], scheme: str | None) -> Sequence[str]:
    """A text's tags in the scheme that a head learns, from BIO; any other labels as they are."""
    return bio_to_bioes(labels) if scheme == "bioes" else labels
