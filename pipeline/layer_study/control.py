"""Labels that say nothing, for what a head or a probe makes of them by memory or by chance alone.

``words``: Hewitt and Liang (2019), "Designing and Interpreting Probes with Control Tasks". Every
word type is given a tag of its own by chance, drawn as tags are distributed, and keeps it wherever
it stands. What is right then was learnt by heart, and a score says of the states what it is above
that: its selectivity. Where most words have one tag, as outside of entities, and few types make up
most words, that is easy, and selectivity may be below 0.

``shuffled``: labels are shuffled within each split, of words over all words. What is right then is
what guessing gives. Texts seldom come again, so that of them there is no other control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from pipeline.core.errors import DataError
from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text
from pipeline.tasks.registry import default_label_type
from pipeline.tasks.tags import Tags

Control = Literal["words", "shuffled"]

_SEED = 2019


def control_labels(labels: Labels, texts: Sequence[Text] | None, how: Control = "words") -> Labels:
    """The labels of the control task.

    Args:
        labels: the real ones.
        texts: the words of each row, for labels of words.
        how: of words, which control; labels of texts are always shuffled.

    Returns:
        Labels of the same rows and splits; of words, plain tags.

    Raises:
        DataError: the labels are of words, and the texts are not.
    """
    rng = np.random.default_rng(_SEED)
    if default_label_type(labels.kind).on_words:
        if how == "shuffled":
            tags = _shuffled_tags(labels, rng)
        elif texts is None:
            raise DataError("the labels are of words, and the head is of texts; change its task")
        else:
            tags = _tags_of_types(labels, texts, rng)
        return replace(labels, kind=Tags.column_kind, values=tags)
    values: list[Any] = list(labels.values)
    for split in sorted(set(labels.splits)):
        members = [row for row, own in enumerate(labels.splits) if own == split]
        for row, source in zip(members, rng.permutation(members).tolist(), strict=True):
            values[row] = labels.values[source]
    return replace(labels, values=values)


def _shuffled_tags(labels: Labels, rng: np.random.Generator) -> list[tuple[str, ...]]:
    values: list[tuple[str, ...]] = list(labels.values)
    for split in sorted(set(labels.splits)):
        members = [row for row, own in enumerate(labels.splits) if own == split]
        tags = iter(rng.permutation([tag for row in members for tag in values[row]]).tolist())
        for row in members:
            values[row] = tuple(next(tags) for _ in values[row])
    return values


def _tags_of_types(
    labels: Labels, texts: Sequence[Text], rng: np.random.Generator
) -> list[tuple[str, ...]]:
    words: list[tuple[str, ...]] = []
    for text, tags in zip(texts, labels.values, strict=True):
        if not isinstance(text, tuple) or len(text) != len(tags):
            raise DataError("the texts of labels of words must be those words; run `dvc repro`")
        words.append(text)
    train = [
        tag
        for tags, split in zip(labels.values, labels.splits, strict=True)
        for tag in tags
        if split == "train"
    ]
    names, counts = np.unique(train, return_counts=True)
    types = sorted({word for row in words for word in row})
    drawn = rng.choice(names, len(types), p=counts / counts.sum()).tolist()
    own = dict(zip(types, drawn, strict=True))
    return [tuple(own[word] for word in row) for row in words]
