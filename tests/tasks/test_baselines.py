"""The baselines are the best that can be done without a model."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier

from pipeline.tasks.baselines import (
    MostFrequentTag,
    baseline,
    majority_class,
    majority_labels,
    mean,
)

words = st.sampled_from(["ice", "snow", "rain"])
tags = st.sampled_from(["O", "B-x", "I-x"])
sentences = st.lists(st.lists(st.tuples(words, tags), max_size=6), max_size=8)


# scikit-learn wonders whether so many classes in so few rows are meant.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@given(st.lists(st.sampled_from(["b", "a", "c"]), min_size=1))
@settings(deadline=None)
def test_majority_class_is_that_of_sklearn(train: list[str]):
    dummy = DummyClassifier(strategy="most_frequent").fit([[0]] * len(train), train)
    assert majority_class(train) == dummy.predict([[0]])[0]


@given(sentences)
def test_most_frequent_tag_is_as_right_on_training_words_as_any_choice(
    rows: list[list[tuple[str, str]]],
):
    tagger = MostFrequentTag(
        [[word for word, _ in row] for row in rows], [[tag for _, tag in row] for row in rows]
    )
    counts = Counter(pair for row in rows for pair in row)
    for word in {word for word, _ in counts}:
        (chosen,) = tagger([word])
        assert counts[word, chosen] == max(counts[word, tag] for tag in ("O", "B-x", "I-x"))


def test_most_frequent_tag_leaves_unseen_words_outside():
    tagger = MostFrequentTag([["ice"]], [["B-x"]])
    assert tagger(["snow", "ice", "Ice"]) == ["O", "B-x", "O"]
    assert tagger([]) == []


def test_most_frequent_tag_takes_the_first_by_alphabet_among_equals():
    tagger = MostFrequentTag([["ice", "ice"], ["ice"]], [["O", "I-x"], ["B-x"]])
    assert tagger(["ice"]) == ["B-x"]


def test_most_frequent_tag_rejects_sentences_without_one_tag_per_word():
    with pytest.raises(ValueError, match="shorter"):
        MostFrequentTag([["ice", "age"]], [["O"]])
    with pytest.raises(ValueError, match="shorter"):
        MostFrequentTag([["ice"], ["age"]], [["O"]])


def test_unseen_words_take_the_most_frequent_tag_of_all_where_none_is_given():
    tagger = MostFrequentTag([["ice", "cold"], ["ice"]], [["N", "A"], ["N"]], unseen=None)
    assert tagger(["cold", "snow"]) == ["A", "N"]
    assert MostFrequentTag([[]], [[]], unseen=None)(["snow"]) == ["O"]


def test_majority_labels_are_those_of_more_than_half_of_the_texts():
    assert majority_labels([("a", "b"), ("a",), ("b", "c"), ("a",)]) == {
        "labels": ["a"],
        "probabilities": {"a": 0.75, "b": 0.5, "c": 0.25},
    }
    assert majority_labels([(), ()]) == {"labels": [], "probabilities": {}}


@given(st.lists(st.floats(-1e300, 1e300), min_size=1))
def test_the_mean_is_a_number_even_where_the_sum_is_none(train: list[float]):
    rounding = max(map(abs, train)) * 1e-9 + 1e-300
    assert min(train) - rounding <= mean(train) <= max(train) + rounding


@pytest.mark.parametrize(
    ("kind", "train", "name", "expected"),
    [
        ("class", ["x", "y", "y"], "majority class", {"label": "y"}),
        (
            "classes",
            [("x",), ("x",), ()],
            "majority per label",
            {"labels": ["x"], "probabilities": {"x": 2 / 3}},
        ),
        ("number", [1.0, 2.0, 6.0], "mean", {"value": pytest.approx(3.0)}),
        (
            "tags",
            [("N",), ("V",), ("N",)],
            "most frequent tag per word",
            {"tags": ["V", "N"]},
        ),
        (
            "bio",
            [("B-x",), ("I-x",), ("B-x",)],
            "most frequent tag per word",
            {"tags": ["I-x", "O"]},
        ),
    ],
)
def test_every_kind_of_label_has_its_baseline(kind, train, name, expected):
    found = baseline(kind, [("ice",), ("melts",), ("snow",)], train)
    assert found.name == name
    assert found.predict(("melts", "hail")) == expected
