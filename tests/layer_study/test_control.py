"""Labels that say nothing of the states, and keep everything else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from conftest import random_sentences

from pipeline.core.errors import DataError
from pipeline.corpus.storage import Labels
from pipeline.layer_study.control import control_labels

WORDS = random_sentences(300)
SPLITS = [("train", "train", "train", "dev", "test")[n % 5] for n in range(300)]


def column(kind: str, values: list[Any]) -> Labels:
    return Labels([f"r{n}" for n in range(300)], SPLITS, values, kind, "digest")


def tagged() -> Labels:
    beasts = {"wolf", "bear", "fox"}
    values = [tuple("B-beast" if word in beasts else "O" for word in row) for row in WORDS]
    return column("bio", values)


def test_a_word_has_one_tag_wherever_it_stands() -> None:
    control = control_labels(tagged(), WORDS)
    assert control.kind == "tags"
    own: dict[str, str] = {}
    for row, tags in zip(WORDS, control.values, strict=True):
        for word, tag in zip(row, tags, strict=True):
            assert own.setdefault(word, tag) == tag
    assert (control.ids, control.splits) == (tagged().ids, tagged().splits)


def test_tags_of_words_are_drawn_as_tags_are_distributed() -> None:
    vocabulary = [f"w{n}" for n in range(6000)]
    words = [tuple(vocabulary[20 * n : 20 * n + 20]) for n in range(300)]
    values = [("A", "B", "B", "B") * 5] * 300
    control = control_labels(column("tags", values), words)
    counts = Counter(tag for tags in control.values for tag in tags)
    assert counts["B"] / counts.total() == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("class", [str(n % 4) for n in range(300)]),
        ("classes", [("a",) * (n % 2) + ("b",) for n in range(300)]),
        ("number", [float(n) for n in range(300)]),
    ],
)
def test_labels_of_texts_are_shuffled_within_each_split(kind: str, values: list[Any]) -> None:
    labels = column(kind, values)
    control = control_labels(labels, None)
    assert control.values != labels.values
    for split in ("train", "dev", "test"):
        before, after = (
            Counter(v for v, own in zip(one.values, SPLITS, strict=True) if own == split)
            for one in (labels, control)
        )
        assert before == after


def test_tags_may_be_shuffled_over_all_words_of_a_split() -> None:
    labels = tagged()
    control = control_labels(labels, None, "shuffled")
    assert control.values != labels.values
    assert list(map(len, control.values)) == list(map(len, labels.values))
    for split in ("train", "dev", "test"):
        before, after = (
            Counter(
                tag
                for tags, own in zip(one.values, SPLITS, strict=True)
                for tag in tags
                if own == split
            )
            for one in (labels, control)
        )
        assert before == after


def test_the_control_is_the_same_every_time() -> None:
    assert control_labels(tagged(), WORDS) == control_labels(tagged(), WORDS)


def test_labels_of_words_without_words_are_refused() -> None:
    with pytest.raises(DataError, match="must be those words"):
        control_labels(tagged(), ["raw text"] * 300)
    with pytest.raises(DataError, match="are of words, and the head is of texts"):
        control_labels(tagged(), None)
