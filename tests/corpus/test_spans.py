"""Entities are read from tags as conlleval and seqeval read them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from pipeline.corpus.spans import entities, is_bio, not_bio

TAGS = ["O", "B-x", "I-x", "B-y", "I-y", "B-x-y", "I-x-y"]


@given(st.lists(st.sampled_from(TAGS), max_size=12))
@example(["I-x", "I-x", "I-y", "O", "I-y", "B-y", "I-x"])
def test_entities_are_those_of_seqeval_for_invalid_sequences_too(tags: list[str]):
    assert entities(tags) == [(kind, begin, last + 1) for kind, begin, last in get_entities(tags)]


@given(st.lists(st.sampled_from(TAGS), max_size=12))
def test_entities_cover_exactly_the_words_that_are_not_outside(tags: list[str]):
    covered = [word for _, begin, end in entities(tags) for word in range(begin, end)]
    assert covered == [word for word, tag in enumerate(tags) if tag != "O"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-x I-x O", [("x", 0, 2)]),
        ("B-x B-x", [("x", 0, 1), ("x", 1, 2)]),
        ("O I-x I-x", [("x", 1, 3)]),
        ("B-x I-y", [("x", 0, 1), ("y", 1, 2)]),
        ("I-x B-x I-x", [("x", 0, 1), ("x", 1, 3)]),
    ],
)
def test_entities_end_before_the_word_after_them(tags: str, expected: list[tuple[str, int, int]]):
    assert entities(tags.split()) == expected


@pytest.mark.parametrize("tag", ["O", "B-x", "I-person", "B-x-y", "I--"])
def test_bio_tags_are_recognised(tag: str):
    assert is_bio(tag)


@pytest.mark.parametrize("tag", ["", "o", "B", "B-", "I-", "b-x", "E-x", "S-x", "x", "OO", " O"])
def test_other_tags_are_not_bio(tag: str):
    assert not is_bio(tag)


def test_tags_that_are_not_bio_are_listed_once_and_sorted():
    assert not_bio(["S-x", "O", "E-x", "B-x", "S-x"]) == ["E-x", "S-x"]
    assert not_bio(["O", "B-x"]) == []
