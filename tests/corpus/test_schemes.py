"""Entity schemes against seqeval, and against every way to tag a few words."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB1, IOB2, IOBES, Tokens

from pipeline.corpus.schemes import (
    PREFIXES,
    Scheme,
    bio_to_bioes,
    bioes_to_bio,
    first_fault,
    is_tag,
    standard_tag,
    to_bio,
)

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
SEQEVAL = {"iob1": IOB1, "iob2": IOB2, "bioes": IOBES}
Span = tuple[str, int, int]


def tags_of(scheme: Scheme) -> list[str]:
    return ["O", *(f"{prefix}-{kind}" for prefix in PREFIXES[scheme] for kind in ("x", "y"))]


def spans(tags: Any) -> list[Span]:
    """As conlleval reads them, BIOES included: ``(type, first word, last word)``."""
    return [tuple(span) for span in get_entities(list(tags))]


def strict_spans(tags: Any, scheme: Scheme) -> list[Span]:
    """As seqeval reads them in strict mode: only entities that the scheme spells out."""
    found = Tokens(list(tags), SEQEVAL[scheme]).entities
    return [(entity.tag, entity.start, entity.end - 1) for entity in found]


def written(entities: list[Span], length: int, scheme: Scheme) -> list[str]:
    """Entities as tags, straight from the definitions of the schemes."""
    tags = ["O"] * length
    for kind, first, last in entities:
        for word in range(first, last + 1):
            tags[word] = f"I-{kind}"
        follows_its_like = any(end == first - 1 and other == kind for other, _, end in entities)
        if scheme != "iob1" or follows_its_like:
            tags[first] = f"B-{kind}"
        if scheme == "bioes":
            tags[last] = f"E-{kind}" if last > first else f"S-{kind}"
    return tags


def all_entities(length: int, begin: int = 0) -> list[list[Span]]:
    """Every way to place entities of types x and y on a few words."""
    if begin >= length:
        return [[]]
    placed = all_entities(length, begin + 1)
    for last in range(begin, length):
        for rest in all_entities(length, last + 1):
            placed += [[(kind, begin, last), *rest] for kind in ("x", "y")]
    return placed


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_valid_sequences_are_exactly_those_that_write_entities_down(scheme: Scheme):
    for length in range(1, 5):
        valid = {
            tags
            for tags in itertools.product(tags_of(scheme), repeat=length)
            if first_fault(tags, scheme) is None
        }
        assert valid == {tuple(written(e, length, scheme)) for e in all_entities(length)}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_valid_sequences_hold_the_entities_that_seqeval_reads_in_that_scheme(scheme: Scheme):
    for length in range(1, 5):
        for tags in itertools.product(tags_of(scheme), repeat=length):
            if first_fault(tags, scheme) is None:
                converted = to_bio(tags, scheme)
                assert strict_spans(converted, "iob2") == strict_spans(tags, scheme)
                assert first_fault(converted, "iob2") is None


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
def test_faulty_sequences_are_read_as_seqeval_reads_them_by_default(
    scheme: Scheme, data: st.DataObject
):
    tags = data.draw(st.lists(st.sampled_from(tags_of(scheme)), max_size=12))
    converted = to_bio(tags, scheme)
    assert spans(converted) == spans(tags)
    assert first_fault(converted, "iob2") is None


@given(st.lists(st.sampled_from(tags_of("iob2")), max_size=12))
@example(["B-x", "B-x", "I-x"])
def test_bioes_and_bio_convert_into_each_other(tags: list[str]):
    bio = to_bio(tags, "iob2")
    assert first_fault(bio_to_bioes(tags), "bioes") is None
    assert bioes_to_bio(bio_to_bioes(tags)) == bio


def test_valid_bio_stays_as_it_is():
    tags = ("B-x", "I-x", "B-x", "O", "B-y")
    assert to_bio(tags, "iob2") == tags


@pytest.mark.parametrize(
    ("scheme", "tags", "position", "why"),
    [
        ("iob2", "O I-x", 1, "'I-x' continues no entity"),
        ("iob2", "I-x", 0, "'I-x' continues no entity"),
        ("iob2", "B-x I-y", 1, "'I-y' continues no entity"),
        ("iob1", "I-x O B-x", 2, "'B-x' follows no entity of its type"),
        ("iob1", "I-y B-x", 1, "'B-x' follows no entity of its type"),
        ("bioes", "B-x O", 1, "the entity of type 'x' before 'O' has no end 'E-x'"),
        ("bioes", "O B-x", 1, "the entity of 'B-x' has no end 'E-x'"),
        ("bioes", "B-x I-x", 1, "the entity of 'I-x' has no end 'E-x'"),
        ("bioes", "B-x S-x", 1, "the entity of type 'x' before 'S-x' has no end"),
        ("bioes", "B-x E-x I-x", 2, "'I-x' continues no entity"),
        ("bioes", "S-x E-x", 1, "'E-x' continues no entity"),
        ("bioes", "B-x E-y", 1, "'E-y' continues no entity"),
    ],
)
def test_the_first_fault_is_named_and_can_be_repaired(
    scheme: Scheme, tags: str, position: int, why: str
):
    fault = first_fault(tags.split(), scheme)
    assert fault is not None
    assert (fault.position, fault.repairable) == (position, True)
    assert fault.why.startswith(why)


@pytest.mark.parametrize("tag", ["", "o", "B", "B-", "I-", "b-x", "x", "OO", " O", "L-x", "B_x"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_no_tag_cannot_be_repaired_and_goes_first(scheme: Scheme, tag: str):
    fault = first_fault(["I-x", "B-y", tag], scheme)
    assert fault is not None
    assert (fault.position, fault.repairable) == (2, False)
    assert f"{tag!r} is no tag of {scheme}, which has O, B-<type>" in fault.why
    with pytest.raises(ValueError, match="is no tag of"):
        to_bio([tag], scheme)


@pytest.mark.parametrize("tag", ["E-x", "S-x"])
def test_ends_and_singles_are_tags_of_bioes_only(tag: str):
    assert [scheme for scheme in SCHEMES if is_tag(tag, scheme)] == ["bioes"]


def test_types_may_hold_anything():
    assert to_bio(["S--", "B-a-b", "E-a-b", "S- ", "S-\N{SNOWFLAKE}"], "bioes") == (
        "B--",
        "B-a-b",
        "I-a-b",
        "B- ",
        "B-\N{SNOWFLAKE}",
    )


def test_no_words_hold_no_entities():
    for scheme in SCHEMES:
        assert first_fault([], scheme) is None
        assert to_bio([], scheme) == ()
    assert bio_to_bioes([]) == ()


@pytest.mark.parametrize(
    ("tag", "scheme", "expected"),
    [
        ("B-x", "iob2", "B-x"),
        ("B_x", "iob2", "B-x"),
        ("x-B", "iob2", "B-x"),
        ("x_I", "iob1", "I-x"),
        ("B-I", "iob2", "B-I"),
        ("L-x", "bioes", "E-x"),
        ("U-x", "bioes", "S-x"),
        ("W_x", "bioes", "S-x"),
        ("x-M", "bioes", "I-x"),
        ("O", "bioes", "O"),
        # What has no meaning in the scheme stays, to be refused.
        ("U-x", "iob2", "U-x"),
        ("E-x", "iob2", "E-x"),
        ("B", "iob2", "B"),
        ("", "iob2", ""),
        ("Bx", "iob2", "Bx"),
        ("B-", "iob2", "B-"),
        ("-B", "iob2", "-B"),
        ("x:B", "iob2", "x:B"),
    ],
)
def test_a_tag_that_means_one_thing_is_spelled_as_its_scheme_has_it(
    tag: str, scheme: Scheme, expected: str
):
    assert standard_tag(tag, scheme) == expected


@given(st.sampled_from(["iob1", "iob2", "bioes"]), st.text(min_size=1))
def test_a_tag_of_a_scheme_is_spelled_as_it_is(scheme: Scheme, kind: str):
    for prefix in PREFIXES[scheme]:
        assert standard_tag(f"{prefix}-{kind}", scheme) == f"{prefix}-{kind}"
