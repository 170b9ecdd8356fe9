"""Metrics are those of scikit-learn and seqeval."""

from __future__ import annotations

from dataclasses import astuple
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score as seqeval_accuracy
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as seqeval_scores
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from pipeline.tasks.classification_metrics import (
    ClassificationScores,
    Scores,
    classification_scores,
    entity_scores,
    tag_scores,
)

# scikit-learn wonders whether so many classes in so few rows are meant.
pytestmark = pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")

Tags = list[str]
Pair = tuple[Tags, Tags]

classes = st.sampled_from(["a", "b", "c", "d"])
class_pairs = st.lists(st.tuples(classes, classes), min_size=1, max_size=30)
tags = st.sampled_from(["O", "O", "B-x", "I-x", "B-y", "I-y", "B-x-y"])
sentences: st.SearchStrategy[Pair] = st.lists(st.tuples(tags, tags), min_size=1, max_size=8).map(
    lambda words: ([gold for gold, _ in words], [guess for _, guess in words])
)
sentence_pairs = st.lists(sentences, min_size=1, max_size=5)


@given(class_pairs)
@settings(deadline=None)
def test_classification_scores_are_those_of_sklearn(pairs: list[tuple[str, str]]):
    gold, predicted = map(list, zip(*pairs, strict=True))
    scores = classification_scores(gold, predicted)
    names = sorted({*gold, *predicted})
    expected = precision_recall_fscore_support(gold, predicted, labels=names, zero_division=0)
    assert list(scores.per_class) == names
    assert [astuple(row) for row in scores.per_class.values()] == [
        pytest.approx(row) for row in zip(*expected, strict=True)
    ]
    assert scores.accuracy == pytest.approx(accuracy_score(gold, predicted))
    assert scores.macro_f1 == pytest.approx(
        f1_score(gold, predicted, average="macro", zero_division=0)
    )


def test_classification_scores_count_a_class_that_is_only_predicted():
    assert classification_scores(["a", "a"], ["a", "b"]) == ClassificationScores(
        accuracy=0.5,
        macro_f1=pytest.approx(1 / 3),
        per_class={"a": Scores(1.0, 0.5, pytest.approx(2 / 3), 2), "b": Scores(0.0, 0.0, 0.0, 0)},
    )


@given(sentence_pairs)
@settings(deadline=None)
def test_tag_scores_are_those_of_sklearn_over_all_words(pairs: list[Pair]):
    gold, predicted = map(list, zip(*pairs, strict=True))
    result = tag_scores(gold, predicted)
    words, guesses = list(chain(*gold)), list(chain(*predicted))
    names = sorted({*words, *guesses})
    assert result.word_accuracy == pytest.approx(accuracy_score(words, guesses))
    assert result.macro_f1 == pytest.approx(
        f1_score(words, guesses, labels=names, average="macro", zero_division=0)
    )
    expected = precision_recall_fscore_support(words, guesses, labels=names, zero_division=0)
    assert {name: astuple(row) for name, row in result.per_tag.items()} == {
        name: pytest.approx(row)
        for name, row in zip(names, zip(*expected, strict=True), strict=True)
    }


def test_a_plain_tag_without_a_prediction_is_wrong_and_no_tag_of_its_own():
    result = tag_scores([["NOUN", "VERB"], ["NOUN"]], [["NOUN", None], [None]])
    assert result.word_accuracy == pytest.approx(1 / 3)
    assert result.per_tag == {
        "NOUN": Scores(1.0, 0.5, pytest.approx(2 / 3), 2),
        "VERB": Scores(0.0, 0.0, 0.0, 1),
    }
    assert result.macro_f1 == pytest.approx(1 / 3)


def test_tag_scores_without_a_word_are_zero():
    result = tag_scores([[]], [[]])
    assert (result.word_accuracy, result.macro_f1, result.per_tag) == (0.0, 0.0, {})


@given(sentence_pairs)
@settings(deadline=None)
def test_entity_scores_are_those_of_seqeval(pairs: list[Pair]):
    gold, predicted = map(list, zip(*pairs, strict=True))
    scores = entity_scores(gold, predicted)
    *micro, support = seqeval_scores(gold, predicted, average="micro", zero_division=0)
    assert astuple(scores.micro) == pytest.approx((*micro, support))
    kinds = sorted({tag[2:] for row in (*gold, *predicted) for tag in row if tag != "O"})
    assert list(scores.per_type) == kinds
    if kinds:
        expected = seqeval_scores(gold, predicted, average=None, zero_division=0)
        assert [astuple(row) for row in scores.per_type.values()] == [
            pytest.approx(row) for row in zip(*expected, strict=True)
        ]
    assert scores.word_accuracy == pytest.approx(seqeval_accuracy(gold, predicted))


@given(sentence_pairs, st.data())
def test_words_without_a_prediction_miss_their_entity_and_are_wrong(
    pairs: list[Pair], data: st.DataObject
):
    gold, predicted = map(list, zip(*pairs, strict=True))
    cut = [row[: data.draw(st.integers(0, len(row)))] for row in predicted]
    unknown = [
        [*row, *[None] * (len(tags) - len(row))] for row, tags in zip(cut, gold, strict=True)
    ]
    outside = [[*row, *["O"] * (len(tags) - len(row))] for row, tags in zip(cut, gold, strict=True)]
    scores, as_outside = entity_scores(gold, unknown), entity_scores(gold, outside)
    assert (scores.micro, scores.per_type) == (as_outside.micro, as_outside.per_type)
    right = sum(
        guess == tag
        for row, tags in zip(unknown, gold, strict=True)
        for guess, tag in zip(row, tags, strict=True)
    )
    assert scores.word_accuracy == pytest.approx(right / sum(map(len, gold)))


def test_entities_need_type_and_both_boundaries():
    gold = [["B-x", "I-x", "O", "B-y"]]
    for predicted in (
        ["B-x", "O", "O", "O"],
        ["B-x", "I-x", "I-x", "O"],
        ["B-y", "I-y", "O", "O"],
        ["O", "I-x", "O", "O"],
    ):
        assert entity_scores(gold, [predicted]).micro == Scores(0.0, 0.0, 0.0, 2)
    assert entity_scores(gold, [["I-x", "I-x", "O", "I-y"]]).micro == Scores(1.0, 1.0, 1.0, 2)


def test_entities_of_one_sentence_do_not_match_those_of_another():
    scores = entity_scores([["B-x", "O"], ["O", "O"]], [["O", "O"], ["B-x", "O"]])
    assert scores.micro == Scores(0.0, 0.0, 0.0, 1)


def test_entity_scores_without_entities_are_zero():
    scores = entity_scores([["O", "O"]], [["O", "O"]])
    assert scores.micro == Scores(0.0, 0.0, 0.0, 0)
    assert scores.per_type == {}
    assert scores.word_accuracy == 1.0


@pytest.mark.parametrize(("gold", "predicted"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_scores_reject_nothing_and_other_lengths(gold: Tags, predicted: Tags):
    with pytest.raises(ValueError, match=f"{len(gold)} gold labels for {len(predicted)} pred"):
        classification_scores(gold, predicted)
    with pytest.raises(ValueError, match=f"{len(gold)} gold labels for {len(predicted)} pred"):
        entity_scores([[tag] for tag in gold], [[tag] for tag in predicted])


@pytest.mark.parametrize("predicted", [["O"], ["O", "O", "O"]])
def test_entity_scores_reject_a_sentence_without_one_tag_per_word(predicted: Tags):
    with pytest.raises(ValueError, match=r"argument 2 is (shorter|longer)"):
        entity_scores([["O", "O"]], [predicted])
