"""Tags: one plain tag per word, such as a part of speech."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from pipeline.corpus.spans import OUTSIDE
from pipeline.corpus.texts import Text, parts
from pipeline.tasks.label_type import (
    IGNORE,
    NONE,
    Array,
    Baseline,
    Comparison,
    Floats,
    Gold,
    LabelType,
    Pair,
    Row,
    Rows,
    column,
    is_probability,
    most_frequent,
    rounded,
)
from pipeline.tasks.precision_recall import scores_by_name
from pipeline.tasks.resampling import ResampledMetrics, count_names
from pipeline.tasks.words import Words


class Tags(LabelType):
    """One tag per word; a word that has no token has no prediction and counts as wrong."""

    name = "tags"
    task = "token_classification"
    column_kind = "tags"
    metrics: ClassVar[tuple[str, ...]] = ("word_accuracy", "macro_f1")
    probe_metric = "word_accuracy"
    control_metric = "word_accuracy"
    on_words = True
    confusion_counts = "words"
    requirement = "tag and probability per word"

    @override
    def learnt(self, label: Any) -> Sequence[str]:
        return label  # type: ignore[no-any-return]

    @override
    def distinct(self, values: Iterable[Any]) -> set[Any]:
        return {tag for tags in values for tag in tags}

    @override
    def target(self, label: Any, names: Sequence[str], words: Words | None) -> Array:
        """(words with a token,) int64: index of each tag, ``IGNORE`` if training never saw it.

        Raises:
            ValueError: there is not one tag per word.
        """
        if words is None or len(label) != len(words.first):
            raise ValueError(
                f"{len(label)} tags for {0 if words is None else len(words.first)} words"
            )
        index = {name: place for place, name in enumerate(names)}
        present = words.with_token
        tags = zip(self.learnt(label), present, strict=True)
        return np.array([index.get(tag, IGNORE) for tag, has_token in tags if has_token], np.int64)

    @override
    def answer(
        self,
        names: Sequence[str],
        values: Floats,
        best: npt.NDArray[np.int64],
        *,
        words: Words | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> Row:
        """``tags`` and ``probabilities`` per word, ``None`` for a word without a token."""
        tags = self.stored([names[index] for index in best])
        given = iter(zip(tags, map(rounded, values[:, 0]), strict=True))
        present = () if words is None else words.with_token
        pairs = [next(given) if has_token else (None, None) for has_token in present]
        return {"tags": [tag for tag, _ in pairs], "probabilities": [share for _, share in pairs]}

    def stored(self, tags: Sequence[str]) -> Sequence[str]:
        """Tags that a head learns as they are stored."""
        return tags

    @override
    def is_complete(self, row: Mapping[str, Any], gold: Any) -> bool:
        tags, probabilities = row.get("tags"), row.get("probabilities")
        if not isinstance(tags, list | tuple) or not isinstance(probabilities, list | tuple):
            return False
        if not len(tags) == len(probabilities) == len(gold):
            return False
        return all(
            share is None if tag is None else isinstance(tag, str) and is_probability(share)
            for tag, share in zip(tags, probabilities, strict=True)
        )

    @override
    def resampled(self, gold: Gold, rows: Rows) -> ResampledMetrics:
        """Share of words with the right tag, and macro F1 over the tags that occur."""
        counts = count_names(gold, column(rows, "tags"))
        measures = {"word_accuracy": counts.recall, "macro_f1": counts.macro_f1}
        return ResampledMetrics(len(gold), measures)

    @override
    def details(self, gold: Gold, rows: Rows) -> dict[str, Any]:
        """Words, those without a prediction, and precision, recall and F1 per tag."""
        actual = [tag for tags in gold for tag in tags]
        predicted = [tag for tags in column(rows, "tags") for tag in tags]
        per_tag = scores_by_name(actual, predicted)
        return {
            **self.word_counts(rows),
            "per_tag": {name: asdict(row) for name, row in per_tag.items()},
        }

    def word_counts(self, rows: Rows) -> dict[str, int]:
        """Words, and those without a prediction."""
        predicted = column(rows, "tags")
        return {
            "words": sum(len(tags) for tags in predicted),
            "words_without_a_prediction": sum(tags.count(None) for tags in predicted),
        }

    @override
    def baseline(self, texts: Sequence[Text], values: Sequence[Any]) -> Baseline:
        """Every word's most frequent tag in training."""
        tag_of = most_frequent_tags(map(parts, texts), values)
        unseen = self.unseen_tag(values)
        return Baseline(
            "most frequent tag per word",
            lambda text: {"tags": [tag_of.get(word, unseen) for word in parts(text)]},
        )

    def unseen_tag(self, values: Sequence[Any]) -> str:
        """Tag of a word that training never saw: the most frequent one."""
        total = Counter(tag for tags in values for tag in tags)
        return most_frequent(total) if total else OUTSIDE

    @override
    def pairs(self, gold: Gold, rows: Rows) -> list[Pair]:
        """A pair per word."""
        return [(tag, NONE if guess is None else guess) for tag, guess in word_pairs(gold, rows)]

    @override
    def compare(self, gold: Any, row: Mapping[str, Any]) -> Comparison:
        tags, confidence = row["tags"], row["probabilities"]
        wrong = [
            share or 0.0
            for tag, guess, share in zip(gold, tags, confidence, strict=True)
            if tag != guess
        ]
        known = [share for share in confidence if share is not None]
        return Comparison(
            correct=not wrong,
            confidence=max(wrong) if wrong else min(known, default=None),
            gold=tuple(self.shown(gold, gold, tags)),
            predicted=tuple(self.shown(tags, gold, tags)),
            mistake={"gold": gold, "predicted": tags, "confidence": confidence},
        )

    def shown(
        self, tags: Sequence[str | None], gold: Sequence[str], predicted: Sequence[str | None]
    ) -> Iterator[str]:
        """Tags of a sentence that are shown: those on which gold and prediction differ."""
        for tag, actual, guess in zip(tags, gold, predicted, strict=True):
            if actual != guess:
                yield tag or NONE


def word_pairs(gold: Gold, rows: Rows) -> Iterator[tuple[str, str | None]]:
    """Yields each word's tag and its prediction."""
    for tags, row in zip(gold, rows, strict=True):
        yield from zip(tags, row["tags"], strict=True)


def most_frequent_tags(
    sentences: Iterable[Sequence[str]], tags: Iterable[Sequence[str]]
) -> dict[str, str]:
    """The most frequent tag of every word."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for words, labels in zip(sentences, tags, strict=True):
        for word, label in zip(words, labels, strict=True):
            counts[word][label] += 1
    return {word: most_frequent(seen) for word, seen in counts.items()}
