from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks.targets import (
    IGNORE,
    class_target,
    classes_target,
    label_names,
    number_target,
    word_targets,
)
from pipeline.tasks.words import Words

ALL_THREE = Words(np.array([1, 2, 3]), np.array([1, 1, 1]))
SECOND_CUT_OUT = Words(np.array([1, -1, 2]), np.array([1, 0, 1]))
ENTITY = ("B-x", "I-x", "I-x")


@pytest.mark.parametrize(
    ("kind", "values", "names"),
    [
        ("class", ["b", "a", "b"], ["a", "b"]),
        ("classes", [("b", "c"), (), ("a", "b")], ["a", "b", "c"]),
        ("number", [1.0, 2.0], []),
        ("tags", [("VERB", "NOUN"), ("NOUN",)], ["NOUN", "VERB"]),
        ("bio", [("O", "B-x"), ("O",)], ["B-x", "O"]),
    ],
)
def test_label_names_are_the_distinct_labels_in_order(
    kind: str, values: list[object], names: list[str]
) -> None:
    assert label_names(values, kind=kind, scheme="bio" if kind == "bio" else None) == names


def test_label_names_of_bioes_are_those_that_the_head_learns() -> None:
    values = [("O", "B-x", "I-x"), ("B-x", "O", "O")]
    assert label_names(values, kind="bio", scheme="bioes") == ["B-x", "E-x", "O", "S-x"]


def test_classes_and_numbers_are_what_losses_take() -> None:
    assert class_target("b", ["a", "b"]).tolist() == [1]
    assert classes_target(("b", "new"), ["a", "b", "c"]).tolist() == [0, 1, 0]
    assert number_target(2.5).tolist() == [2.5]
    assert class_target("b", ["a", "b"]).dtype == np.int64
    assert classes_target((), ["a"]).dtype == number_target(1.0).dtype == np.float32


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_each_word_with_a_token_has_its_own_tag(present: list[bool]) -> None:
    tags = [f"tag{word}" for word in range(len(present))]
    first = np.where(present, np.arange(1, len(present) + 1), -1)
    words = Words(first, np.array(present, np.int64))
    targets = word_targets(tags, words, tags, None)
    assert targets.tolist() == [word for word, has in enumerate(present) if has]


def test_tags_become_bioes_before_words_without_a_token_go() -> None:
    names = ["B-x", "E-x", "I-x", "O", "S-x"]
    assert word_targets(ENTITY, ALL_THREE, names, "bioes").tolist() == [0, 2, 1]
    assert word_targets(ENTITY, SECOND_CUT_OUT, names, "bioes").tolist() == [0, 1]


def test_tags_must_be_as_many_as_words() -> None:
    with pytest.raises(ValueError, match="2 tags for 3 words"):
        word_targets(["a", "b"], ALL_THREE, ["a"], None)


def test_labels_that_training_never_saw_teach_nothing() -> None:
    assert class_target("new", ["a"]).tolist() == [IGNORE]
    assert word_targets(["a", "new", "a"], ALL_THREE, ["a"], None).tolist() == [0, IGNORE, 0]
