"""Tags of words to entities with their places in the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from pipeline.corpus.spans import OUTSIDE, entities


class Entity(TypedDict):
    """An entity as it is handed out.

    Attributes:
        type: its type.
        start: its first character.
        end: the character after its last, so that ``text[start:end]`` is ``text``.
        text: what stands there, white space between its words included.
        confidence: the lowest of its words.
    """

    type: str
    start: int
    end: int
    text: str
    confidence: float


class EntityOfWords(Entity):
    """An entity of an input that was words; characters are counted in the words joined by spaces.

    Attributes:
        first_word: index of its first word.
        last_word: index of its last word, that one included.
    """

    first_word: int
    last_word: int


def entities_in_text(
    text: str,
    spans: Sequence[tuple[int, int]],
    tags: Sequence[str | None],
    confidences: Sequence[float | None],
) -> list[Entity]:
    """The entities of a text, in order.

    They are read as evaluation reads them (``pipeline.corpus.spans.entities``): an entity
    begins at ``B-``, and at an ``I-`` that continues none of its type; a word without a tag is
    outside.

    Args:
        text: the text.
        spans: the place of each word in it, as ``split_words`` gives them.
        tags: the BIO tag of each word, ``None`` for one that has no token.
        confidences: of each tag, ``None`` where there is none.

    Raises:
        ValueError: there is not one tag and confidence per word, or an entity's word has none.
    """
    found: list[Entity] = []
    for kind, first, after, confidence in _entities(len(spans), tags, confidences):
        start, end = spans[first][0], spans[after - 1][1]
        found.append(
            Entity(type=kind, start=start, end=end, text=text[start:end], confidence=confidence)
        )
    return found


def entities_in_words(
    words: Sequence[str], tags: Sequence[str | None], confidences: Sequence[float | None]
) -> list[EntityOfWords]:
    """Entities of an input that was words, as ``entities_in_text`` of ``" ".join(words)``.

    Raises:
        ValueError: there is not one tag and confidence per word, or an entity's word has none.
    """
    begins = [0]
    for word in words:
        begins.append(begins[-1] + len(word) + 1)
    text = " ".join(words)
    found: list[EntityOfWords] = []
    for kind, first, after, confidence in _entities(len(words), tags, confidences):
        start, end = begins[first], begins[after] - 1
        found.append(
            EntityOfWords(
                type=kind,
                start=start,
                end=end,
                text=text[start:end],
                confidence=confidence,
                first_word=first,
                last_word=after - 1,
            )
        )
    return found


def _entities(
    words: int, tags: Sequence[str | None], confidences: Sequence[float | None]
) -> list[tuple[str, int, int, float]]:
    """``(type, first word, word after the last, confidence)`` of each entity."""
    if not words == len(tags) == len(confidences):
        raise ValueError(f"{len(tags)} tags and {len(confidences)} confidences for {words} words")
    found = []
    for kind, first, after in entities([OUTSIDE if tag is None else tag for tag in tags]):
        of_words = [value for value in confidences[first:after] if value is not None]
        if len(of_words) < after - first:
            raise ValueError(
                f"a word of the entity at words {first} to {after - 1} has no confidence"
            )
        found.append((kind, first, after, min(of_words)))
    return found
