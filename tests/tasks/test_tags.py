"""Tags: targets, answers and baseline; metrics are those of scikit-learn over all words."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_examples import ALL_THREE, SentencePair, sentence_pairs, words_with
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from pipeline.tasks.label_type import IGNORE
from pipeline.tasks.tags import Tags, most_frequent_tags

TAGS = Tags()

words = st.sampled_from(["ice", "snow", "rain"])
tags = st.sampled_from(["N", "V", "A"])
sentences = st.lists(st.lists(st.tuples(words, tags), max_size=6), max_size=8)


def predicted(rows: list[list[Any]]) -> list[dict[str, Any]]:
    return [{"tags": row} for row in rows]


def test_a_head_learns_the_tags_of_training_in_order() -> None:
    assert TAGS.label_names([("VERB", "NOUN"), ("NOUN",)]) == ["NOUN", "VERB"]
    assert TAGS.distinct([("VERB", "NOUN"), ("NOUN",)]) == {"NOUN", "VERB"}


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_each_word_with_a_token_has_its_own_tag(present: list[bool]) -> None:
    own = [f"tag{word}" for word in range(len(present))]
    targets = TAGS.target(own, own, words_with(*present))
    assert targets.tolist() == [word for word, has in enumerate(present) if has]


def test_tags_must_be_as_many_as_words() -> None:
    with pytest.raises(ValueError, match="2 tags for 3 words"):
        TAGS.target(["a", "b"], ["a"], ALL_THREE)


def test_tags_that_training_never_saw_teach_nothing() -> None:
    assert TAGS.target(["a", "new", "a"], ["a"], ALL_THREE).tolist() == [0, IGNORE, 0]


def test_words_without_a_token_have_no_tag() -> None:
    row = TAGS.answer(
        ["A", "N"],
        np.full((2, 1), 0.6),
        np.array([1, 0]),
        words=words_with(True, False, True, False),
    )
    assert row == {"tags": ["N", None, "A", None], "probabilities": [0.6, None, 0.6, None]}


def test_a_text_without_any_token_has_no_tags() -> None:
    nothing = words_with(False, False)
    row = TAGS.answer(["N"], np.zeros((0, 1)), np.zeros(0, np.int64), words=nothing)
    assert row == {"tags": [None, None], "probabilities": [None, None]}


def test_the_probability_of_a_tag_is_that_of_the_chosen_not_of_the_highest() -> None:
    values, both = np.array([[0.3], [0.8]]), words_with(True, True)
    row = TAGS.answer(["A", "N"], values, np.array([1, 1]), words=both)
    assert row == {"tags": ["N", "N"], "probabilities": [0.3, 0.8]}


# scikit-learn wonders whether so many classes in so few rows are meant.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@given(sentence_pairs)
@settings(deadline=None)
def test_scores_are_those_of_sklearn_over_all_words(pairs: list[SentencePair]) -> None:
    gold, guesses = map(list, zip(*pairs, strict=True))
    scores, rows = TAGS.resampled(gold, predicted(guesses)).scores(), predicted(guesses)
    actual, flat = list(chain(*gold)), list(chain(*guesses))
    names = sorted({*actual, *flat})
    macro = f1_score(actual, flat, labels=names, average="macro", zero_division=0)
    assert scores == pytest.approx(
        {"word_accuracy": accuracy_score(actual, flat), "macro_f1": macro}
    )
    assert TAGS.dev_score("macro_f1", gold, rows) == pytest.approx(macro)
    expected = precision_recall_fscore_support(actual, flat, labels=names, zero_division=0)
    assert {
        name: tuple(row.values()) for name, row in TAGS.details(gold, rows)["per_tag"].items()
    } == {
        name: pytest.approx(row)
        for name, row in zip(names, zip(*expected, strict=True), strict=True)
    }


def test_a_tag_without_a_prediction_is_wrong_and_no_tag_of_its_own() -> None:
    gold, rows = [["NOUN", "VERB"], ["NOUN"]], predicted([["NOUN", None], [None]])
    assert TAGS.resampled(gold, rows).scores() == pytest.approx(
        {"word_accuracy": 1 / 3, "macro_f1": 1 / 3}
    )
    details = TAGS.details(gold, rows)
    assert list(details["per_tag"]) == ["NOUN", "VERB"]
    assert (details["words"], details["words_without_a_prediction"]) == (3, 2)
    assert TAGS.pairs(gold, rows) == [("NOUN", "NOUN"), ("VERB", "(none)"), ("NOUN", "(none)")]


def test_scores_without_a_word_are_zero() -> None:
    assert TAGS.resampled([[]], predicted([[]])).scores() == {"word_accuracy": 0.0, "macro_f1": 0.0}
    assert TAGS.details([[]], predicted([[]]))["per_tag"] == {}


@pytest.mark.parametrize("guesses", [["N"], ["N", "N", "N"]])
def test_a_sentence_without_one_tag_per_word_is_refused(guesses: list[str]) -> None:
    with pytest.raises(ValueError, match=r"argument 2 is (shorter|longer)"):
        TAGS.resampled([["N", "N"]], predicted([guesses]))


@given(sentences)
def test_the_baseline_is_as_right_on_training_words_as_any_choice(
    rows: list[list[tuple[str, str]]],
) -> None:
    found = most_frequent_tags(
        [[word for word, _ in row] for row in rows], [[tag for _, tag in row] for row in rows]
    )
    counts = Counter(pair for row in rows for pair in row)
    for word in {word for word, _ in counts}:
        assert counts[word, found[word]] == max(counts[word, tag] for tag in ("N", "V", "A"))


def test_the_baseline_takes_the_first_by_alphabet_among_equals() -> None:
    tag_of = most_frequent_tags([["ice", "ice"], ["ice"]], [["V", "N"], ["A"]])
    assert tag_of == {"ice": "A"}


def test_the_baseline_rejects_sentences_without_one_tag_per_word() -> None:
    with pytest.raises(ValueError, match="shorter"):
        TAGS.baseline([("ice", "age")], [["N"]])
    with pytest.raises(ValueError, match="shorter"):
        TAGS.baseline([("ice",), ("age",)], [["N"]])


def test_words_that_training_never_saw_take_its_most_frequent_tag() -> None:
    found = TAGS.baseline([("ice", "cold"), ("ice",)], [["N", "A"], ["N"]])
    assert found.name == "most frequent tag per word"
    assert found.predict(("cold", "snow")) == {"tags": ["A", "N"]}
    assert TAGS.baseline([()], [[]]).predict(("snow",)) == {"tags": ["O"]}


def test_rows_without_a_tag_per_word_are_not_complete() -> None:
    assert TAGS.is_complete({"tags": ["N"], "probabilities": [0.5]}, ("N",))
    for row in ({}, {"tags": ["N"], "probabilities": []}, {"tags": [], "probabilities": []}):
        assert not TAGS.is_complete(row, ("N",))
