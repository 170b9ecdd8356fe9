"""A tagged sentence cut into pieces that a page can draw without counting characters.

Spans are counted in words and cut here: JavaScript counts UTF-16 units, and would cut an emoji.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.corpus.spans import OUTSIDE, Span, entities

MOST_WORDS = 300
"""Words of a sentence that are shown."""


@dataclass(frozen=True)
class Segment:
    """Neighbouring words that lie in the same entities, joined by spaces.

    Attributes:
        text: the words; empty where texts are left out.
        gold: type of the entity, or the tag, that is true of them.
        predicted: the same, as the head has it.
        gold_ends: whether the true entity ends here, so that its type is written once.
        predicted_ends: the same for the head's.
        right: whether gold and prediction are one entity, boundaries and all.
        unread: whether the head has no prediction, because the words were cut off.
    """

    text: str
    gold: str | None = None
    predicted: str | None = None
    gold_ends: bool = False
    predicted_ends: bool = False
    right: bool = False
    unread: bool = False


def entity_segments(
    words: Sequence[str], gold: Sequence[str], predicted: Sequence[str | None]
) -> list[Segment]:
    """Cuts a sentence at every boundary of an entity.

    Args:
        words: of the sentence.
        gold: BIO tags, one per word.
        predicted: BIO tags; ``None`` for a word without a prediction.
    """
    truth = entities(gold)
    guess = entities([tag or OUTSIDE for tag in predicted])
    unread = [tag is None for tag in predicted]
    edges = {0, len(words)}
    edges |= {edge for _, begin, end in (*truth, *guess) for edge in (begin, end)}
    edges |= {place for place in range(1, len(words)) if unread[place] != unread[place - 1]}
    cuts = sorted(edges)
    return [
        _piece(words, (begin, end), _around(truth, begin), _around(guess, begin), unread[begin])
        for begin, end in pairwise(cuts)
    ]


def tag_segments(
    words: Sequence[str], gold: Sequence[str], predicted: Sequence[str | None]
) -> list[Segment]:
    """Cuts a sentence at every word whose tag is wrong; what is right stays plain."""
    segments: list[Segment] = []
    plain: list[str] = []
    for word, tag, guess in zip(words, gold, predicted, strict=True):
        if tag == guess:
            plain.append(word)
            continue
        if plain:
            segments.append(Segment(" ".join(plain)))
            plain = []
        segments.append(Segment(word, tag, guess, True, guess is not None, unread=guess is None))
    return [*segments, Segment(" ".join(plain))] if plain else segments


def _around(spans: Sequence[Span], place: int) -> Span | None:
    return next((span for span in spans if span[1] <= place < span[2]), None)


def _piece(
    words: Sequence[str],
    cut: tuple[int, int],
    gold: Span | None,
    predicted: Span | None,
    unread: bool,
) -> Segment:
    begin, end = cut
    return Segment(
        " ".join(words[begin:end]),
        gold[0] if gold else None,
        predicted[0] if predicted else None,
        gold is not None and gold[2] == end,
        predicted is not None and predicted[2] == end,
        gold is not None and gold == predicted,
        unread,
    )
