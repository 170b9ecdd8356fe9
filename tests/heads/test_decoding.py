"""The rows of predictions, as evaluation reads them, for every kind of label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipelines import head_settings
from seqeval.scheme import IOBES, Entities

from pipeline.core.files import canonical_json
from pipeline.corpus.spans import entities
from pipeline.heads.decoding import answer
from pipeline.heads.scoring import Outputs
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.words import Words

BIOES = ["B-x", "E-x", "I-x", "O", "S-x"]


def outputs(values: list[list[float]], best: list[int] | None = None) -> Outputs:
    array = np.array(values, np.float64).reshape(len(values), -1)
    return Outputs(array, array.argmax(1) if best is None else np.array(best, np.int64))


def words(*present: bool) -> Words:
    first = np.where(present, np.arange(1, len(present) + 1), -1)
    return Words(first, np.array(present, np.int64))


def tagged(settings: HeadSettings, names: list[str], best: list[int], of: Words) -> dict[str, Any]:
    values = np.full((len(best), 1), 0.6)
    return answer(settings, names, Outputs(values, np.array(best, np.int64)), words=of)


def test_a_class_is_the_likeliest() -> None:
    row = answer(
        head_settings("sequence_classification"), ["a", "b"], outputs([[0.123456789, 0.876543211]])
    )
    assert row == {"label": "b", "probabilities": {"a": 0.123457, "b": 0.876543}}


def test_a_class_is_chosen_before_digits_are_cut_off() -> None:
    row = answer(
        head_settings("sequence_classification"), ["a", "b"], outputs([[0.5 - 1e-9, 0.5 + 1e-9]])
    )
    assert row == {"label": "b", "probabilities": {"a": 0.5, "b": 0.5}}


def test_classes_are_those_from_their_threshold_on() -> None:
    settings, names = head_settings("multilabel_classification"), ["a", "b", "c"]
    given_outputs = outputs([[0.5, 0.49999949, 0.2]])
    row = answer(settings, names, given_outputs)
    assert row == {"labels": ["a"], "probabilities": {"a": 0.5, "b": 0.499999, "c": 0.2}}
    thresholds = {"a": 0.6, "b": 0.499999, "c": 0.2}
    assert answer(settings, names, given_outputs, thresholds=thresholds)["labels"] == ["b", "c"]


def test_a_text_may_have_no_class() -> None:
    row = answer(head_settings("multilabel_classification"), ["a"], outputs([[0.1]]))
    assert row["labels"] == []


def test_a_number_has_the_digits_of_float32() -> None:
    value = float(np.float32(1234.56789))
    row = answer(head_settings("regression"), [], outputs([[value]]))
    assert row == {"value": 1234.568}
    assert np.float32(row["value"]) == pytest.approx(np.float32(value), rel=1e-6)


@pytest.mark.parametrize("changes", [{"label": "pos"}, {}])
def test_words_without_a_token_have_no_tag(changes: dict[str, Any]) -> None:
    settings = head_settings("token_classification", **changes)
    row = tagged(settings, ["B-x", "O"], [1, 0], words(True, False, True, False))
    assert row == {"tags": ["O", None, "B-x", None], "probabilities": [0.6, None, 0.6, None]}


def test_a_text_without_any_token_has_no_tags() -> None:
    nothing = Outputs(np.zeros((0, 1)), np.zeros(0, np.int64))
    settings = head_settings("token_classification")
    row = answer(settings, ["O"], nothing, words=words(False, False))
    assert row == {"tags": [None, None], "probabilities": [None, None]}


def test_the_probability_of_a_tag_is_that_of_the_chosen_not_of_the_highest() -> None:
    settings = head_settings("token_classification", crf=True)
    row = answer(settings, ["B-x", "O"], outputs([[0.3], [0.8]], [1, 1]), words=words(True, True))
    assert row == {"tags": ["O", "O"], "probabilities": [0.3, 0.8]}


@given(st.lists(st.integers(0, 4), min_size=1, max_size=10))
def test_bioes_inside_comes_out_as_bio(best: list[int]) -> None:
    settings = head_settings("token_classification", scheme="bioes")
    row = tagged(settings, BIOES, best, words(*[True] * len(best)))
    assert all(tag[0] in "BIO" for tag in row["tags"])
    assert len(row["tags"]) == len(best)
    for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:], "it is BIO without a fault"
    # seqeval reads what is sound in the head's own scheme; those entities are all there.
    sound = Entities([[BIOES[index] for index in best]], IOBES).entities[0]
    assert {(e.tag, e.start, e.end) for e in sound} <= {
        (kind, begin, end) for kind, begin, end in entities(row["tags"])
    }


def test_a_word_without_a_token_inside_an_entity_keeps_its_ends_together() -> None:
    settings = head_settings("token_classification", scheme="bioes")
    row = tagged(settings, BIOES, [0, 1], words(True, False, True))
    assert row["tags"] == ["B-x", None, "I-x"]


@pytest.mark.parametrize(
    ("task", "names", "values"),
    [
        ("sequence_classification", ["a", "b"], [[0.25, 0.75]]),
        ("multilabel_classification", ["a", "b"], [[0.25, 0.75]]),
        ("regression", [], [[2.0]]),
    ],
)
def test_rows_are_plain_json(task: Any, names: list[str], values: list[list[float]]) -> None:
    assert canonical_json(answer(head_settings(task), names, outputs(values)))
