"""Entities: schemes inside and outside of a head; metrics are those of seqeval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_examples import ALL_THREE, SentencePair, sentence_pairs, words_with
from seqeval.metrics import accuracy_score as seqeval_accuracy
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as seqeval_scores
from seqeval.scheme import IOBES
from seqeval.scheme import Entities as SeqevalEntities

from pipeline.corpus.spans import entities
from pipeline.tasks.entities import Entities

BIO, BIOES = Entities("bio"), Entities("bioes")
BIOES_NAMES = ["B-x", "E-x", "I-x", "O", "S-x"]
ENTITY = ("B-x", "I-x", "I-x")


def predicted(rows: list[list[Any]]) -> list[dict[str, Any]]:
    return [{"tags": row} for row in rows]


def micro(gold: Any, rows: list[dict[str, Any]]) -> tuple[float, float, float, int]:
    details = BIO.details(gold, rows)
    f1 = BIO.resampled(gold, rows).scores()["entity_f1"]
    assert f1 is not None
    return details["entity_precision"], details["entity_recall"], f1, details["entities"]


def test_a_head_learns_the_tags_of_its_scheme() -> None:
    values = [("O", "B-x", "I-x"), ("B-x", "O", "O")]
    assert BIO.label_names(values) == ["B-x", "I-x", "O"]
    assert BIOES.label_names(values) == ["B-x", "E-x", "O", "S-x"]


def test_tags_become_bioes_before_words_without_a_token_go() -> None:
    second_cut_out = words_with(True, False, True)
    assert BIOES.target(ENTITY, BIOES_NAMES, ALL_THREE).tolist() == [0, 2, 1]
    assert BIOES.target(ENTITY, BIOES_NAMES, second_cut_out).tolist() == [0, 1]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=10))
def test_bioes_inside_comes_out_as_bio(best: list[int]) -> None:
    row = BIOES.answer(
        BIOES_NAMES,
        np.full((len(best), 1), 0.6),
        np.array(best),
        words=words_with(*[True] * len(best)),
    )
    assert all(tag[0] in "BIO" for tag in row["tags"])
    assert len(row["tags"]) == len(best)
    for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:], "it is BIO without a fault"
    # seqeval reads what is sound in the head's own scheme; those entities are all there.
    sound = SeqevalEntities([[BIOES_NAMES[index] for index in best]], IOBES).entities[0]
    assert {(e.tag, e.start, e.end) for e in sound} <= {
        (kind, begin, end) for kind, begin, end in entities(row["tags"])
    }


def test_a_word_without_a_token_inside_an_entity_keeps_its_ends_together() -> None:
    words = words_with(True, False, True)
    row = BIOES.answer(BIOES_NAMES, np.full((2, 1), 0.6), np.array([0, 1]), words=words)
    assert row["tags"] == ["B-x", None, "I-x"]


@given(sentence_pairs)
@settings(deadline=None)
def test_scores_are_those_of_seqeval(pairs: list[SentencePair]) -> None:
    gold, guesses = map(list, zip(*pairs, strict=True))
    rows = predicted(guesses)
    *expected_micro, support = seqeval_scores(gold, guesses, average="micro", zero_division=0)
    assert micro(gold, rows) == pytest.approx((*expected_micro, support))
    per_type = BIO.details(gold, rows)["per_type"]
    types = sorted({tag[2:] for row in (*gold, *guesses) for tag in row if tag != "O"})
    assert list(per_type) == types
    if types:
        expected = seqeval_scores(gold, guesses, average=None, zero_division=0)
        assert [tuple(row.values()) for row in per_type.values()] == [
            pytest.approx(row) for row in zip(*expected, strict=True)
        ]
    accuracy = BIO.resampled(gold, rows).scores()["word_accuracy"]
    assert accuracy == pytest.approx(seqeval_accuracy(gold, guesses))
    for metric in BIO.metrics:
        assert 0 <= BIO.dev_score(metric, gold, rows) <= 1


@given(sentence_pairs, st.data())
def test_words_without_a_prediction_miss_their_entity_and_are_wrong(
    pairs: list[SentencePair], data: st.DataObject
) -> None:
    gold, guesses = map(list, zip(*pairs, strict=True))
    cut = [row[: data.draw(st.integers(0, len(row)))] for row in guesses]
    unknown, outside = (
        predicted(
            [[*row, *[fill] * (len(tags) - len(row))] for row, tags in zip(cut, gold, strict=True)]
        )
        for fill in (None, "O")
    )
    assert micro(gold, unknown) == micro(gold, outside)
    details = [BIO.details(gold, rows)["per_type"] for rows in (unknown, outside)]
    assert details[0] == details[1]
    right = sum(
        guess == tag
        for row, tags in zip(unknown, gold, strict=True)
        for guess, tag in zip(row["tags"], tags, strict=True)
    )
    accuracy = BIO.resampled(gold, unknown).scores()["word_accuracy"]
    assert accuracy == pytest.approx(right / sum(map(len, gold)))


def test_entities_need_type_and_both_boundaries() -> None:
    gold = [["B-x", "I-x", "O", "B-y"]]
    for guesses in (
        ["B-x", "O", "O", "O"],
        ["B-x", "I-x", "I-x", "O"],
        ["B-y", "I-y", "O", "O"],
        ["O", "I-x", "O", "O"],
    ):
        assert micro(gold, predicted([guesses])) == (0.0, 0.0, 0.0, 2)
    assert micro(gold, predicted([["I-x", "I-x", "O", "I-y"]])) == (1.0, 1.0, 1.0, 2)


def test_entities_of_one_sentence_do_not_match_those_of_another() -> None:
    rows = predicted([["O", "O"], ["B-x", "O"]])
    assert micro([["B-x", "O"], ["O", "O"]], rows) == (0.0, 0.0, 0.0, 1)


def test_scores_without_entities_are_zero() -> None:
    gold, rows = [["O", "O"]], predicted([["O", "O"]])
    assert micro(gold, rows) == (0.0, 0.0, 0.0, 0)
    assert BIO.details(gold, rows)["per_type"] == {}
    assert BIO.resampled(gold, rows).scores()["word_accuracy"] == 1.0


def test_the_baseline_leaves_words_that_training_never_saw_outside() -> None:
    found = BIO.baseline([("ice",), ("melts",), ("snow",)], [("B-x",), ("I-x",), ("B-x",)])
    assert found.predict(("melts", "hail", "ice", "Ice")) == {"tags": ["I-x", "O", "B-x", "O"]}


def test_pairs_are_of_words_inside_an_entity_of_either() -> None:
    rows = predicted([["O", "B-y", "O", None]])
    assert BIO.pairs([["O", "B-x", "I-x", "O"]], rows) == [("x", "y"), ("x", "O")]
