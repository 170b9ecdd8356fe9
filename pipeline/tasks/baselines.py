"""What a score means: the best that can be done without reading a text, or word by word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pipeline.corpus.spans import OUTSIDE
from pipeline.corpus.texts import Text, parts

Row: TypeAlias = dict[str, Any]
"""A prediction, in the form in which heads write theirs, without id and split."""


@dataclass(frozen=True)
class Baseline:
    """A predictor that knows the training rows.

    Attributes:
        name: in words.
        predict: the prediction of a text.
    """

    name: str
    predict: Callable[[Text], Row]


def baseline(kind: str, texts: Sequence[Text], values: Sequence[Any]) -> Baseline:
    """The baseline of a kind of label, from the texts and labels of the training split."""
    if kind == "class":
        row: Row = {"label": majority_class(values)}
        return Baseline("majority class", lambda _: row)
    if kind == "classes":
        row = majority_labels(values)
        return Baseline("majority per label", lambda _: row)
    if kind == "number":
        row = {"value": mean(values)}
        return Baseline("mean", lambda _: row)
    tagger = MostFrequentTag(
        [parts(text) for text in texts], values, unseen=OUTSIDE if kind == "bio" else None
    )
    return Baseline("most frequent tag per word", lambda text: {"tags": tagger(parts(text))})


def majority_class(train: Sequence[str]) -> str:
    """The most frequent class; the first in alphabetical order among equals."""
    return _most_frequent(Counter(train))


def majority_labels(train: Sequence[Collection[str]]) -> Row:
    """The labels that more than half of the texts have, and the share of texts that have each."""
    counts = Counter(name for labels in train for name in labels)
    shares = {name: counts[name] / len(train) for name in sorted(counts)}
    return {
        "labels": [name for name, share in shares.items() if share > 0.5],
        "probabilities": shares,
    }


def mean(train: Sequence[float]) -> float:
    """The mean, which has the smallest squared error of all constants."""
    return sum(value / len(train) for value in train)


class MostFrequentTag:
    """Tags every word as training did most often.

    Args:
        sentences: the words of each training sentence.
        tags: the tags of each.
        unseen: the tag of words that training never saw; ``None`` for its most frequent one.
    """

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        tags: Sequence[Sequence[str]],
        *,
        unseen: str | None = OUTSIDE,
    ) -> None:
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        total: Counter[str] = Counter()
        for words, labels in zip(sentences, tags, strict=True):
            total.update(labels)
            for word, label in zip(words, labels, strict=True):
                counts[word][label] += 1
        self._tag_of = {word: _most_frequent(seen) for word, seen in counts.items()}
        self._unseen = unseen or (_most_frequent(total) if total else OUTSIDE)

    def __call__(self, words: Sequence[str]) -> list[str]:
        """One tag per word."""
        return [self._tag_of.get(word, self._unseen) for word in words]


def _most_frequent(counts: Counter[str]) -> str:
    return min(counts, key=lambda name: (-counts[name], name))
