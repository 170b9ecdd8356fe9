from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from chains import is_allowed
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2, IOBES, Entities

from pipeline.heads.constraints import Constraints, allowed_sequences, forget_impossible
from pipeline.tasks.label_type import IGNORE

NAMES = {
    "bio": ["B-x", "B-y", "I-x", "I-y", "O"],
    "bioes": ["B-x", "B-y", "E-x", "E-y", "I-x", "I-y", "O", "S-x", "S-y"],
}
SEQEVAL = {"bio": IOB2, "bioes": IOBES}


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_allowed_sequences_are_those_in_which_strict_seqeval_reads_every_word(scheme: str) -> None:
    names = NAMES[scheme]
    rules = allowed_sequences(names, scheme)
    for length in (1, 2, 3):
        for path in product(range(len(names)), repeat=length):
            tags = [names[label] for label in path]
            found = Entities([tags], SEQEVAL[scheme]).entities[0]
            covered = {word for entity in found for word in range(entity.start, entity.end)}
            whole = covered == {word for word, tag in enumerate(tags) if tag != "O"}
            assert is_allowed(path, rules) == whole, tags


def test_plain_tags_have_no_rules() -> None:
    assert allowed_sequences(["NOUN", "I-x"], None) is None


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_some_sequence_of_each_length_is_allowed_whatever_labels_there_are(
    scheme: str, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(NAMES[scheme]), min_size=1, unique=True))
    rules = allowed_sequences(names, scheme)  # checks it
    for length in (1, 2, 3):
        assert any(is_allowed(p, rules) for p in product(range(len(names)), repeat=length))
    # And each label occurs in some.
    assert {
        label for p in product(range(len(names)), repeat=3) if is_allowed(p, rules) for label in p
    } == set(range(len(names)))


@pytest.mark.parametrize(
    ("names", "scheme", "path"),
    [
        (["I-x", "O"], "bio", "O I-x I-x"),  # no B-x: nothing to wait for
        (["B-x", "O"], "bioes", "B-x O B-x"),  # no E-x: nothing that could close it
        (["B-x", "E-x"], "bioes", "E-x"),  # nothing stands alone
    ],
)
def test_rules_whose_other_half_is_not_among_the_labels_do_not_hold(
    names: list[str], scheme: str, path: str
) -> None:
    rules = allowed_sequences(names, scheme)
    assert is_allowed(tuple(names.index(tag) for tag in path.split()), rules)


@pytest.mark.parametrize(
    ("tag", "scheme"), [("S-x", "bio"), ("B-", "bio"), ("x", "bioes"), ("", "bio")]
)
def test_tags_of_another_scheme_are_refused(tag: str, scheme: str) -> None:
    with pytest.raises(ValueError, match=f"'{tag}' is not a tag of the scheme {scheme}"):
        allowed_sequences(["O", tag], scheme)


def test_no_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="no labels"):
        allowed_sequences([], "bio")


def test_constraints_without_a_sequence_of_some_length_are_refused() -> None:
    alternate = np.array([[False, True], [True, False]])
    with pytest.raises(ValueError, match="no sequence of 2 words"):
        Constraints(np.array([True, False]), alternate, np.array([True, False]))
    with pytest.raises(ValueError, match="no sequence of 1 words"):
        Constraints(np.array([True, False]), alternate, np.array([False, True]))


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("bio", "O I-x I-x O", "O ? I-x O"),
        ("bio", "I-x", "?"),
        ("bio", "B-x I-y I-y", "B-x ? I-y"),
        ("bio", "B-x ? I-y", "B-x ? I-y"),
        ("bio", "? I-x", "? I-x"),
        ("bioes", "B-x O", "B-x ?"),
        ("bioes", "O B-x", "O ?"),
        ("bioes", "B-x B-y E-y", "B-x ? ?"),
        ("bioes", "B-x I-x", "B-x ?"),
        ("bioes", "B-x ? E-y O", "B-x ? ? O"),
    ],
)
def test_impossible_labels_are_forgotten(scheme: str, tags: str, expected: str) -> None:
    names = NAMES[scheme]
    index = {name: position for position, name in enumerate(names)} | {"?": IGNORE}
    gold = np.array([index[tag] for tag in tags.split()])
    result = forget_impossible(gold, allowed_sequences(names, scheme))
    assert result.tolist() == [index[tag] for tag in expected.split()]


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_remains_is_possible_and_nothing_is_forgotten_without_need(
    scheme: str, data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(NAMES[scheme]), min_size=1, max_size=5, unique=True))
    rules = allowed_sequences(names, scheme)
    label = st.integers(0, len(names) - 1) | st.just(IGNORE)
    tags = np.array(data.draw(st.lists(label, min_size=1, max_size=4)))
    paths = [p for p in product(range(len(names)), repeat=len(tags)) if is_allowed(p, rules)]

    def possible(wanted: np.ndarray) -> bool:
        return any(
            all(t in (IGNORE, p) for t, p in zip(wanted, path, strict=True)) for path in paths
        )

    result = forget_impossible(tags, rules)
    assert possible(result)
    assert np.isin(result, [*tags, IGNORE]).all()
    assert (result[result != IGNORE] == tags[result != IGNORE]).all()
    if possible(tags):
        assert (result == tags).all()


def test_labels_before_a_dead_end_are_forgotten_too() -> None:
    # After label 1 nothing but label 1 may come, and it may not be last.
    rules = Constraints(
        np.array([True, True]), np.array([[True, True], [False, True]]), np.array([True, False])
    )
    assert forget_impossible(np.array([0, 1, 1]), rules).tolist() == [0, IGNORE, IGNORE]
