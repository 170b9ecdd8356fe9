"""Entities from BIO tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

OUTSIDE = "O"
Span = tuple[str, int, int]
"""``(type, first word, word after the last)``."""


def is_bio(tag: str) -> bool:
    """Whether a tag is ``O``, ``B-<type>`` or ``I-<type>``."""
    return tag == OUTSIDE or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def not_bio(tags: Iterable[str]) -> list[str]:
    """The tags that are neither ``O`` nor ``B-<type>`` nor ``I-<type>``, sorted."""
    return sorted({tag for tag in tags if not is_bio(tag)})


def entities(tags: Sequence[str]) -> list[Span]:
    """The entities of one sentence.

    An entity begins at ``B-``, and at an ``I-`` that continues none of its type: the reading of
    conlleval (Tjong Kim Sang and De Meulder 2003), which seqeval follows by default.
    """
    spans: list[Span] = []
    kind, begin = "", 0
    for position, tag in enumerate([*tags, OUTSIDE]):
        continues = tag[:2] == "I-" and tag[2:] == kind
        if kind and not continues:
            spans.append((kind, begin, position))
            kind = ""
        if tag != OUTSIDE and not continues:
            kind, begin = tag[2:], position
    return spans
