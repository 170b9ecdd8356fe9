from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from pipeline.prediction.entities import entities_in_text, entities_in_words
from pipeline.prediction.split_words import split_words

TAGS = st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y", None])


@st.composite
def tagged(draw: st.DrawFn, count: int) -> tuple[list[str | None], list[float | None]]:
    """Tags, and a confidence wherever there is one."""
    tags = draw(st.lists(TAGS, min_size=count, max_size=count))
    confidence = st.floats(0, 1)
    return tags, [None if tag is None else draw(confidence) for tag in tags]


@settings(max_examples=500, deadline=None)
@given(st.data(), st.text(st.characters()))
def test_offsets_in_a_text_are_those_of_the_entitys_text(data: st.DataObject, text: str) -> None:
    spans = split_words(text)
    tags, confidences = data.draw(tagged(len(spans)))
    found = entities_in_text(text, spans, tags, confidences)
    expected = get_entities([tag or "O" for tag in tags])
    assert [(e["type"], e["start"], e["end"]) for e in found] == [
        (kind, spans[first][0], spans[last][1]) for kind, first, last in expected
    ]
    for entity, (_, first, last) in zip(found, expected, strict=True):
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert entity["text"].strip() == entity["text"] != ""
        assert entity["confidence"] == min(confidences[first : last + 1])


@settings(max_examples=500, deadline=None)
@given(st.data(), st.lists(st.text(st.characters(), max_size=4), max_size=8))
def test_offsets_in_words_are_those_in_the_words_joined_by_spaces(
    data: st.DataObject, words: list[str]
) -> None:
    tags, confidences = data.draw(tagged(len(words)))
    text = " ".join(words)
    for entity in entities_in_words(words, tags, confidences):
        first, last = entity["first_word"], entity["last_word"]
        assert text[entity["start"] : entity["end"]] == entity["text"]
        assert entity["text"] == " ".join(words[first : last + 1])
        assert entity["confidence"] == min(confidences[first : last + 1])


def test_entities_have_types_places_and_the_lowest_confidence_of_their_words() -> None:
    text = "Ada  Lovelace, of London."
    tags = ["B-per", "I-per", "O", "O", "B-loc", "O"]
    found = entities_in_text(text, split_words(text), tags, [0.9, 0.8, 0.7, 0.9, 0.6, 1.0])
    assert found == [
        {"type": "per", "start": 0, "end": 13, "text": "Ada  Lovelace", "confidence": 0.8},
        {"type": "loc", "start": 18, "end": 24, "text": "London", "confidence": 0.6},
    ]
    assert entities_in_words(["Ada", "Lovelace"], ["B-per", "I-per"], [0.5, 0.4]) == [
        {
            "type": "per",
            "start": 0,
            "end": 12,
            "text": "Ada Lovelace",
            "confidence": 0.4,
            "first_word": 0,
            "last_word": 1,
        }
    ]


def test_a_word_without_a_tag_ends_an_entity() -> None:
    found = entities_in_words(["a", "b", "c"], ["B-x", None, "I-x"], [0.5, None, 0.25])
    assert [(e["first_word"], e["last_word"]) for e in found] == [(0, 0), (2, 2)]


@pytest.mark.parametrize(
    ("tags", "confidences", "message"),
    [
        (["O"], [0.5, 0.5], "1 tags and 2 confidences for 2 words"),
        (["O", "O"], [0.5], "2 tags and 1 confidences for 2 words"),
        (["B-x", "I-x"], [0.5, None], "a word of the entity at words 0 to 1 has no confidence"),
    ],
)
def test_every_tag_has_its_word_and_confidence(
    tags: list[str | None], confidences: list[float | None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        entities_in_words(["a", "b"], tags, confidences)
