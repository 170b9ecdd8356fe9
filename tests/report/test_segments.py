"""Sentences cut into pieces: nothing of them is lost, and pieces say what lies in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.segments import Segment, entity_segments, tag_segments

WORDS = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=5)
TAGS = st.sampled_from(["O", "B-x", "I-x", "B-y", "I-y"])


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[str], list[str], list[str | None]]:
    words = draw(st.lists(WORDS, max_size=12))
    size = {"min_size": len(words), "max_size": len(words)}
    return words, draw(st.lists(TAGS, **size)), draw(st.lists(st.none() | TAGS, **size))


@given(sentences())
def test_segments_hold_all_words_in_order(sentence):
    words, gold, predicted = sentence
    for cut in (entity_segments, tag_segments):
        segments = cut(words, gold, predicted)
        assert " ".join(segment.text for segment in segments) == " ".join(words)
        assert all(segment.text for segment in segments)


@given(sentences())
def test_every_word_lies_in_the_entities_that_its_tags_say(sentence):
    words, gold, predicted = sentence
    place = 0
    for segment in entity_segments(words, gold, predicted):
        count = len(segment.text.split(" "))
        for word in range(place, place + count):
            assert segment.gold == (None if gold[word] == "O" else gold[word][2:])
            guess = predicted[word]
            assert segment.predicted == (None if guess in (None, "O") else guess[2:])
            assert segment.unread == (guess is None)
        place += count


@given(sentences())
def test_each_entity_ends_once(sentence):
    words, gold, predicted = sentence
    segments = entity_segments(words, gold, predicted)
    # As in conlleval: an entity begins at B-, and at an I- that continues none of its type.
    before = ["O", *gold]
    begins = [
        tag != "O" and (tag[0] == "B" or before[place][2:] != tag[2:])
        for place, tag in enumerate(gold)
    ]
    assert sum(segment.gold_ends for segment in segments) == sum(begins)


def test_a_right_entity_is_one_with_both_boundaries():
    words = ["in", "New", "York", "City"]
    gold = ["O", "B-place", "I-place", "I-place"]
    assert entity_segments(words, gold, gold) == [
        Segment("in"),
        Segment("New York City", "place", "place", True, True, right=True),
    ]
    assert entity_segments(words, gold, ["O", "B-place", "I-place", "O"]) == [
        Segment("in"),
        Segment("New York", "place", "place", False, True),
        Segment("City", "place", None, True, False),
    ]


def test_tags_are_shown_where_they_are_wrong():
    assert tag_segments(["a", "b", "c", "d"], ["N", "V", "N", "N"], ["N", "V", "V", None]) == [
        Segment("a b"),
        Segment("c", "N", "V", True, True),
        Segment("d", "N", None, True, False, unread=True),
    ]
