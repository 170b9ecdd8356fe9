from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.heads.targets import (
    IGNORE,
    NO_TOKEN,
    class_target,
    first_tokens,
    label_names,
    token_targets,
)


def test_label_names_are_the_distinct_classes_or_tags_in_order() -> None:
    assert label_names(["b", "a", "b"]) == ["a", "b"]
    assert label_names([("O", "B-x"), ("O",)]) == ["B-x", "O"]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 5))
def test_each_words_label_sits_on_its_first_subword(pieces: list[int], cut: int) -> None:
    """A word of n pieces has n tokens; words of none, and those behind the cut, have no place."""
    word_index = [-1]
    expected = []
    for word, count in enumerate(pieces):
        expected.append(len(word_index) if count else NO_TOKEN)
        word_index += [word] * count
    kept = max(1, len(word_index) - cut)
    word_index = [*word_index[:kept], -1]
    expected = [place if place < kept else NO_TOKEN for place in expected]

    places = first_tokens(np.array(word_index, np.int32), len(pieces))
    assert places.tolist() == expected

    tags = [f"tag{word}" for word in range(len(pieces))]
    targets = token_targets(tags, places, tags, tokens=len(word_index))
    assert {token: int(t) for token, t in enumerate(targets) if t != IGNORE} == {
        place: word for word, place in enumerate(expected) if place != NO_TOKEN
    }


def test_a_token_of_a_word_beyond_the_input_is_an_error() -> None:
    with pytest.raises(ValueError, match="word 2 in an input of 2 words"):
        first_tokens(np.array([-1, 0, 1, 2, -1], np.int32), 2)


def test_tags_must_be_as_many_as_words() -> None:
    with pytest.raises(ValueError, match="2 tags for 1 words"):
        token_targets(["a", "b"], np.array([1]), ["a"], tokens=3)


def test_labels_that_training_never_saw_teach_nothing() -> None:
    assert class_target("new", ["a"]).tolist() == [IGNORE]
    assert token_targets(["new"], np.array([1]), ["a"], tokens=3).tolist() == [IGNORE] * 3
