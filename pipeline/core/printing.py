"""Text from data on a terminal: shown, and never obeyed."""

from __future__ import annotations

import re
import unicodedata

_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
"""Categories of control codes, of halves of surrogate pairs, and of line ends."""

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the order in which characters are shown."""

_PLAIN = re.compile(r"[\x20-\x7e]*")


def printable(text: str) -> str:
    r"""The text with what a terminal would obey spelled out: ``\x1b``, ``\n``, ``\u202e``.

    Labels, ids and file names come from data. Printed raw, they could clear the screen, forge
    lines, or swap the order of what is read.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        ascii(character)[1:-1]
        if character in _DIRECTIONS or unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in text
    )
