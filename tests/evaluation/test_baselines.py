"""The baselines are the best that can be done without a model."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier

from pipeline.evaluation.baselines import MostFrequentTag, majority_class

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
