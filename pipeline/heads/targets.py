"""Labels as numbers, and the token that each word's label sits on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.corpus.records import Label

IGNORE = -100
"""Target of tokens that carry no label; torch's default ``ignore_index``."""

NO_TOKEN = -1
"""Place of a word that has no token: cut off by truncation, or made of nothing that tokenises."""


def label_names(values: Iterable[Label]) -> list[str]:
    """The distinct classes, or tags, in alphabetical order."""
    names: set[str] = set()
    for value in values:
        names.update(value if isinstance(value, tuple) else (str(value),))
    return sorted(names)


def first_tokens(word_index: npt.NDArray[np.int32], words: int) -> npt.NDArray[np.int64]:
    """(words,) int64: the first token of each word, ``NO_TOKEN`` for a word without one.

    Args:
        word_index: (tokens,) int32, the word that each token belongs to, -1 for special tokens.
        words: words of the whole input.

    Raises:
        ValueError: a token belongs to a word that the input does not have.
    """
    tokens = np.flatnonzero(word_index >= 0)
    if len(tokens) and word_index[tokens].max() >= words:
        raise ValueError(f"token of word {word_index[tokens].max()} in an input of {words} words")
    places = np.full(words, NO_TOKEN, np.int64)
    # Backwards, so that a word's first token is the one that stays.
    places[word_index[tokens[::-1]]] = tokens[::-1]
    return places


def class_target(label: str, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """(1,) int64: the index of a class, ``IGNORE`` if training never saw it."""
    return np.array([names.index(label) if label in names else IGNORE], np.int64)


def token_targets(
    tags: Sequence[str],
    places: npt.NDArray[np.int64],
    names: Sequence[str],
    *,
    tokens: int,
) -> npt.NDArray[np.int64]:
    """(tokens,) int64: each word's tag on its first token, ``IGNORE`` everywhere else.

    Args:
        tags: one per word.
        places: (words,) as ``first_tokens`` gives them.
        names: the tags that the head knows.
        tokens: tokens of the row.

    Raises:
        ValueError: there is not one tag per word.
    """
    if len(tags) != len(places):
        raise ValueError(f"{len(tags)} tags for {len(places)} words")
    targets = np.full(tokens, IGNORE, np.int64)
    index = {name: position for position, name in enumerate(names)}
    for tag, place in zip(tags, places, strict=True):
        if place != NO_TOKEN:
            targets[place] = index.get(tag, IGNORE)
    return targets
