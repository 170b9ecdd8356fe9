"""Raw text to words, for taggers that learnt from text whose words were already split.

White space separates chunks. Punctuation and symbols at both ends of a chunk are words of their
own, one for each character, except that a run of the same one (``...``, ``!!``) is one word. What
stands inside of a chunk stays: ``don't``, ``state-of-the-art``, ``3.5``, ``https://a.org/b``. Three
things at the ends stay too:

- ``@`` and ``#`` before a name (``@ada``, ``#ice_2``), and ``_`` at the end of such a name;
- the last dot of an abbreviation that has a dot inside: letters, one or two between dots
  (``U.S.``, ``e.g.``, ``Ph.D.``). So ``x.com.``, ``3.5.`` and ``etc.`` give their last dot away:
  what ends in one is more often a sentence;
- the slash at the end of an address with ``://``.

Ideographs are words, each of them, as in BERT's tokenizer. Kana, hangul, and scripts that are
written without spaces such as Thai are split only where white space, punctuation at an end, or an
ideograph stands, as there.

No word begins or ends inside of what is seen as one character: combining marks, variation
selectors, skin tones, joiners with what they join, both halves of a flag. Characters that are not
seen (zero-width spaces, marks of direction) belong to the word before them, or to the one after
them where a chunk begins.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

Span = tuple[int, int]
"""``(first character, character after the last)``, as Python slices."""

_CHUNK = re.compile(r"\S+")
_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_IDEOGRAPHS = (
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xF900, 0xFB00),
    range(0x20000, 0x2A6E0),
    range(0x2A700, 0x2B740),
    range(0x2B740, 0x2B820),
    range(0x2B820, 0x2CEB0),
    range(0x2F800, 0x2FA20),
)
"""The blocks that BERT's tokenizer takes for Chinese."""
_LONGEST_PART = 2
"""Letters between two dots of an abbreviation."""


@dataclass(frozen=True)
class _Character:
    """Character as it is seen: a code point and what changes it.

    Attributes:
        text: all code points of it.
        base: the first of them that does not only change others.
        begin: where it begins in the text.
        kind: ``letter``, ``mark`` (punctuation or symbol) or ``ideograph``.
    """

    text: str
    base: str
    begin: int
    kind: str

    @property
    def end(self) -> int:
        return self.begin + len(self.text)


def split_words(text: str) -> list[Span]:
    """The words of a text.

    They are in order and not empty, do not overlap, cover all that is not white space, and contain
    none.

    Args:
        text: any text.

    Returns:
        The place of each word: ``text[begin:end]``.
    """
    spans: list[Span] = []
    for chunk in _CHUNK.finditer(text):
        found = chunk.group()
        if found.isascii() and found.isalnum():
            spans.append(chunk.span())
            continue
        characters = list(_characters(found, chunk.start()))
        for is_ideograph, group in groupby(characters, lambda c: c.kind == "ideograph"):
            if is_ideograph:
                spans += [(character.begin, character.end) for character in group]
            else:
                spans += _words(list(group))
    return spans


def _words(piece: list[_Character]) -> Iterator[Span]:
    """Words of a chunk without ideographs."""
    begin, end = 0, len(piece)
    while begin < end and piece[begin].kind == "mark" and not _opens_name(piece, begin):
        begin = _run_end(piece, begin, end)
    named = begin < end and _opens_name(piece, begin)
    address = _address(piece[begin:end])
    after = end
    while after > begin and piece[after - 1].kind == "mark":
        last = piece[after - 1]
        if named and last.text == "_":
            break
        if last.text == "/" and last.begin > address:
            break
        if last.text == "." and _is_abbreviation(piece, begin, after):
            break
        after = _run_begin(piece, begin, after)

    yield from _runs(piece[:begin])
    if begin < after:
        yield piece[begin].begin, piece[after - 1].end
    yield from _runs(piece[after:])


def _runs(marks: list[_Character]) -> Iterator[Span]:
    for _, run in groupby(marks, lambda mark: mark.text):
        same = list(run)
        yield same[0].begin, same[-1].end


def _run_end(piece: list[_Character], begin: int, end: int) -> int:
    """The position after the run that begins at a position."""
    position = begin + 1
    while position < end and piece[position].text == piece[begin].text:
        position += 1
    return position


def _run_begin(piece: list[_Character], begin: int, end: int) -> int:
    """The position where the run begins that ends before a position."""
    position = end - 1
    while position > begin and piece[position - 1].text == piece[end - 1].text:
        position -= 1
    return position


def _opens_name(piece: list[_Character], position: int) -> bool:
    """Whether ``@`` or ``#`` stands before a name."""
    if piece[position].text not in ("@", "#") or position + 1 == len(piece):
        return False
    after = piece[position + 1].base
    return after == "_" or after.isalnum()


def _address(word: list[_Character]) -> float:
    """The place of the last sign of the first ``://``, infinity where there is none."""
    text = "".join(character.text for character in word)
    place = text.find("://")
    return math.inf if place < 0 else word[0].begin + place + 2


def _is_abbreviation(piece: list[_Character], begin: int, end: int) -> bool:
    """Whether characters are letters with dots, as ``U.S.``; the last is a dot."""
    # Only letters end the search for marks: all but one call end here, however long the piece.
    if end - begin < 4 or not piece[end - 2].base.isalpha():
        return False
    text = "".join(character.base for character in piece[begin:end])
    *parts, _ = text.split(".")
    return len(parts) > 1 and all(part.isalpha() and len(part) <= _LONGEST_PART for part in parts)


def _characters(chunk: str, start: int) -> Iterator[_Character]:
    """Characters as they are seen, in order."""
    begin = 0
    while begin < len(chunk):
        # What changes others but has nothing before it belongs to what follows.
        base = begin
        while base < len(chunk) - 1 and _changes_others(chunk[base]):
            base += 1
        end = base + 1
        if ord(chunk[base]) in _FLAG_LETTERS and ord(chunk[end : end + 1] or " ") in _FLAG_LETTERS:
            end += 1
        while end < len(chunk) and (_changes_others(chunk[end]) or chunk[end - 1] == _JOINER):
            end += 1
        yield _Character(chunk[begin:end], chunk[base], start + begin, _kind(chunk[base]))
        begin = end


@lru_cache(4096)
def _changes_others(character: str) -> bool:
    """Whether a code point only changes the one before it, or is not seen at all."""
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or ord(character) in _SKIN_TONES
    )


@lru_cache(4096)
def _kind(character: str) -> str:
    if any(ord(character) in block for block in _IDEOGRAPHS):
        return "ideograph"
    # Skin tones alone are symbols; so are "$", "+" and emoji.
    return "mark" if unicodedata.category(character)[0] in "PS" else "letter"
