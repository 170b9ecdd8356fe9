"""Entity tags: the schemes IOB1, IOB2 and BIOES, what is wrong with a sequence, and conversions.

Sources: Ramshaw and Marcus (1995) for IOB1, Tjong Kim Sang and Veenstra (1999) for IOB2, also
called BIO. BIOES marks the last word of an entity with ``E-``, and an entity of one word with
``S-``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

OUTSIDE = "O"
Scheme = Literal["iob1", "iob2", "bioes"]
_SYNONYMS = {"L": "E", "U": "S", "M": "I", "W": "S"}
"""Prefixes of BILOU and of BMEWO (also BMES), in BIOES; none means two things."""

PREFIXES: dict[Scheme, str] = {"iob1": "BI", "iob2": "BI", "bioes": "BIES"}

_SHOWN = 60
"""Characters of a tag that a fault shows."""


@dataclass(frozen=True)
class Fault:
    """Fault of a sequence of tags.

    Attributes:
        position: the word, from 0.
        why: what its tag does not fit, as a sentence without an end.
        repairable: whether the tags still say which entities are meant.
    """

    position: int
    why: str
    repairable: bool


def first_fault(tags: Sequence[str], scheme: Scheme) -> Fault | None:
    """The first fault of a sequence in a scheme; of all, one that cannot be repaired goes first."""
    for position, tag in enumerate(tags):
        if not is_tag(tag, scheme):
            known = ", ".join([OUTSIDE, *(f"{prefix}-<type>" for prefix in PREFIXES[scheme])])
            return Fault(position, f"{_show(tag)} is no tag of {scheme}, which has {known}", False)
    inside = ""  # type of the entity that the next word may continue
    for position, tag in enumerate(tags):
        prefix, kind = tag[0], tag[2:]
        if why := _fault(prefix, kind, inside, tag, scheme):
            return Fault(position, why, True)
        inside = "" if prefix in "OES" else kind
    if inside and scheme == "bioes":
        return Fault(
            len(tags) - 1,
            f"the entity of {_show(tags[-1])} has no end {_show(f'E-{inside}')}",
            True,
        )
    return None


def _fault(prefix: str, kind: str, inside: str, tag: str, scheme: Scheme) -> str | None:
    continues = kind == inside
    if scheme == "iob1":
        if prefix == "B" and not continues:
            return (
                f"{_show(tag)} follows no entity of its type, where iob1 begins with "
                f"{_show(f'I-{kind}')} (iob2 with 'B-')"
            )
        return None
    if prefix in "IE" and not continues:
        return f"{_show(tag)} continues no entity: none of its type is open before it"
    if scheme == "bioes" and prefix in "OBS" and inside:
        end = _show(f"E-{inside}")
        return f"the entity of type {_show(inside)} before {_show(tag)} has no end {end}"
    return None


def _show(tag: str) -> str:
    return repr(tag if len(tag) <= _SHOWN else f"{tag[:_SHOWN]}...")


def is_tag(tag: str, scheme: Scheme) -> bool:
    """Whether a tag is ``O``, or a prefix of the scheme, a hyphen and a type."""
    return tag == OUTSIDE or (len(tag) > 2 and tag[0] in PREFIXES[scheme] and tag[1] == "-")


def standard_tag(tag: str, scheme: Scheme) -> str:
    """A tag as its scheme writes it, where another spelling means but one thing; else the tag.

    ``B_LOC`` and ``LOC-B`` are ``B-LOC``. In BIOES, the prefixes of BILOU and BMEWO are read too:
    ``L-`` is ``E-``, ``M-`` is ``I-``, ``U-`` and ``W-`` are ``S-``.
    """
    if len(tag) < 3 or is_tag(tag, scheme):
        return tag
    synonyms = _SYNONYMS if scheme == "bioes" else {}
    for mark, letter, kind in ((tag[1], tag[0], tag[2:]), (tag[-2], tag[-1], tag[:-2])):
        prefix = synonyms.get(letter, letter)
        if mark in "-_" and prefix in PREFIXES[scheme]:
            return f"{prefix}-{kind}"
    return tag


def to_bio(tags: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """Convert tags of a scheme to BIO (IOB2).

    A sequence with faults is read as conlleval and seqeval read it by default: a word that
    continues no entity of its type begins one, and an entity that nothing continues ends.

    Raises:
        ValueError: a tag is not one of the scheme.
    """
    converted = []
    inside = ""
    for tag in tags:
        if not is_tag(tag, scheme):
            raise ValueError(f"{tag!r} is no tag of {scheme}")
        prefix, kind = tag[0], tag[2:]
        if tag == OUTSIDE:
            converted.append(OUTSIDE)
        else:
            continues = prefix in "IE" and kind == inside
            converted.append(f"{'I' if continues else 'B'}-{kind}")
        inside = "" if prefix in "OES" else kind
    return tuple(converted)


def bioes_to_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """``to_bio`` from BIOES."""
    return to_bio(tags, "bioes")


def bio_to_bioes(tags: Sequence[str]) -> tuple[str, ...]:
    """Convert BIO to BIOES; a sequence with faults is repaired first, as in ``to_bio``.

    Raises:
        ValueError: a tag is not one of BIO.
    """
    bio = to_bio(tags, "iob2")
    converted = []
    for tag, following in zip(bio, (*bio, OUTSIDE)[1:], strict=True):
        last = following != f"I-{tag[2:]}"
        if tag == OUTSIDE:
            converted.append(OUTSIDE)
        elif tag[0] == "B":
            converted.append(f"{'S' if last else 'B'}-{tag[2:]}")
        else:
            converted.append(f"{'E' if last else 'I'}-{tag[2:]}")
    return tuple(converted)
