"""What a score means: the best that can be done without a model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from pipeline.evaluation.spans import OUTSIDE


def majority_class(train: Sequence[str]) -> str:
    """The most frequent class; the first in alphabetical order among equals."""
    counts = Counter(train)
    return min(counts, key=lambda name: (-counts[name], name))


class MostFrequentTag:
    """Tags every word as training did most often; words that it never saw are outside.

    Args:
        sentences: the words of each training sentence.
        tags: the tags of each.
    """

    def __init__(self, sentences: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> None:
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for words, labels in zip(sentences, tags, strict=True):
            for word, label in zip(words, labels, strict=True):
                counts[word][label] += 1
        self._tag_of = {
            word: min(seen, key=lambda tag: (-seen[tag], tag)) for word, seen in counts.items()
        }

    def __call__(self, words: Sequence[str]) -> list[str]:
        """One tag per word."""
        return [self._tag_of.get(word, OUTSIDE) for word in words]
