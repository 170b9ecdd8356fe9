"""Counts of a corpus for its report: labels, balance, and what looks wrong without being it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.corpus.schemes import OUTSIDE, is_tag, standard_tag
from pipeline.corpus.texts import Label
from pipeline.ingest.problems import show

_UNBALANCED = 0.95
_NEARLY_ALL = 0.5
_MANY = 100
_BARE = frozenset("BIESLUMW")
_SPACING = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=[^\W\d_])")
"""Between letters: -1 and 1 are two classes."""


@dataclass
class Tally:
    """Counts of what was dropped, skipped, left out or repaired.

    Attributes:
        dropped: rows left out for lack of text.
        skipped_lines: lines left out as ``skip_lines`` says.
        hidden: files and folders left out because their names begin with a dot.
        repaired: by label, rows whose entity tags were repaired.
    """

    dropped: int = 0
    skipped_lines: int = 0
    hidden: int = 0
    repaired: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        """Begins anew."""
        self.dropped = self.skipped_lines = self.hidden = 0
        self.repaired.clear()


class Spread:
    """Count, mean and deviation of numbers, one at a time (Welford 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf

    def add(self, number: float) -> None:
        """Takes in a number."""
        self.count += 1
        difference = number - self.mean
        self.mean += difference / self.count
        self._squares += difference * (number - self.mean)
        self.minimum, self.maximum = min(self.minimum, number), max(self.maximum, number)

    def summary(self) -> dict[str, float]:
        """Ready for JSON; empty without numbers. The deviation is that of a whole population."""
        if not self.count:
            return {}
        return {
            "count": self.count,
            "mean": self.mean,
            "deviation": math.sqrt(max(self._squares, 0.0) / self.count),
            "minimum": self.minimum,
            "maximum": self.maximum,
        }


class LabelCounts:
    """Counts of each class or tag in each split, and statistics of numbers."""

    def __init__(self, kinds: Mapping[str, str], splits: Sequence[str]) -> None:
        self._kinds = kinds
        self._splits = splits
        self._counts = {name: {s: Counter[str]() for s in splits} for name in kinds}
        self._spreads = {name: {s: Spread() for s in splits} for name in kinds}

    def add(self, labels: Mapping[str, Label], split: str) -> None:
        """Takes in the labels of one row."""
        for name in self._kinds:
            label = labels[name]
            if isinstance(label, float):
                self._spreads[name][split].add(label)
            else:
                self._counts[name][split].update([label] if isinstance(label, str) else label)

    def summary(self) -> dict[str, Any]:
        """Counts by label and split, ready for JSON."""
        return {
            name: {
                split: self._spreads[name][split].summary()
                if kind == "number"
                else dict(sorted(self._counts[name][split].items()))
                for split in self._splits
            }
            for name, kind in self._kinds.items()
        }

    def balance(self) -> dict[str, Any]:
        """Balance of labels with classes: how many there are, and the shares of the extremes."""
        result = {}
        for name, kind in self._kinds.items():
            counts = self._total(name)
            if kind not in ("class", "classes") or not counts:
                continue
            most, least = max(counts, key=_most(counts)), min(counts, key=_least(counts))
            total = counts.total()
            result[name] = {
                "classes": len(counts),
                "most_frequent": {"class": most, "share": round(counts[most] / total, 4)},
                "least_frequent": {"class": least, "share": round(counts[least] / total, 4)},
            }
        return result

    def warnings(self) -> list[str]:
        """Warnings about labels that look wrong."""
        found: list[str] = []
        for name, kind in self._kinds.items():
            if kind != "number":
                found += [f"label {show(name)}: {what}" for what in self._unseen(name)]
            if kind in ("class", "classes"):
                found += [f"label {show(name)}: {what}" for what in self._odd_classes(name)]
                found += [f"label {show(name)}: {what}" for what in self._unmeasured(name, kind)]
            if kind == "number":
                found += [f"label {show(name)}: {what}" for what in self._constant(name)]
            if kind == "bio":
                found += [f"label {show(name)}: {what}" for what in self._without_entities(name)]
            if kind == "tags" and (what := self._looks_like_entities(name)):
                found.append(f"label {show(name)}: {what}")
            if kind != "number":
                found += [f"label {show(name)}: {what}" for what in self._alike(name)]
        return found

    def _unseen(self, name: str) -> Iterator[str]:
        if "train" not in self._splits:
            return
        trained = self._counts[name]["train"]
        for split in self._splits[1:]:
            if unseen := sorted(set(self._counts[name][split]) - set(trained)):
                yield f"{_listed(unseen)} in {split} and not in train: a head cannot learn that"

    def _odd_classes(self, name: str) -> Iterator[str]:
        counts = self._total(name)
        if not counts:
            return
        if single := sorted(label for label, count in counts.items() if count == 1):
            yield f"{_listed(single)} with one example only"
        most = max(counts, key=_most(counts))
        if counts[most] > _UNBALANCED * counts.total():
            yield f"{counts[most] / counts.total():.1%} of all are {show(most)}"
        if len(counts) > _MANY and len(counts) > _NEARLY_ALL * counts.total():
            yield f"{len(counts)} classes among {counts.total()}: is it text, or an id?"

    def _unmeasured(self, name: str, kind: str) -> Iterator[str]:
        """Classes that training sees, and scores do not."""
        if "train" not in self._splits:
            return
        trained = self._counts[name]["train"]
        for split in self._splits[1:]:
            there = self._counts[name][split]
            if kind == "class" and len(there) == 1:
                (only,) = there
                yield f"every row of {split} is {show(only)}: a score there says nothing"
            elif there and (absent := sorted(set(trained) - set(there))):
                yield f"{_listed(absent)} in train and not in {split}: not measured there"

    def _constant(self, name: str) -> Iterator[str]:
        for split in self._splits:
            spread = self._spreads[name][split]
            if spread.count and spread.minimum == spread.maximum:
                what = f"every row of {split} is {spread.minimum:g}"
                yield f"{what}: a correlation there is not defined"

    def _without_entities(self, name: str) -> Iterator[str]:
        for split in self._splits:
            counts = self._counts[name][split]
            if counts and set(counts) == {OUTSIDE}:
                yield f"no entity is in {split}: F1 there is not defined"

    def _alike(self, name: str) -> Iterator[str]:
        """Names that differ in case, or in spaces, hyphens and underscores, alone."""
        alike: dict[str, list[str]] = {}
        for label in sorted(self._total(name)):
            alike.setdefault(_SPACING.sub("", label.casefold()), []).append(label)
        for key, names in sorted(alike.items()):
            if key and len(names) > 1:
                yield (
                    f"{', '.join(map(show, names))} differ in case or spacing only: are they one?"
                )

    def _looks_like_entities(self, name: str) -> str | None:
        """What makes plain tags look like entity tags, which are scored otherwise."""
        counts = self._total(name)
        tags = set(counts) - {OUTSIDE}
        if tags and all(is_tag(standard_tag(tag, "bioes"), "bioes") for tag in tags):
            kind = (
                "iob2" if {standard_tag(tag, "bioes")[0] for tag in tags} <= {"B", "I"} else "bioes"
            )
            return f"looks like entity tags: is its kind {kind}?"
        if OUTSIDE not in counts:
            return None
        if "B" in tags and tags <= _BARE:
            return "looks like entity tags without types: write B-x for B, and set its kind to iob2"
        if counts[OUTSIDE] > _NEARLY_ALL * counts.total():
            return (
                "most tags are 'O': if the others are types of entities, write B- and I- before "
                "them, or words are scored, and not entities"
            )
        return None

    def _total(self, name: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for counts in self._counts[name].values():
            total.update(counts)
        return total


def _most(counts: Counter[str]) -> Any:
    return lambda label: (counts[label], label)


def _least(counts: Counter[str]) -> Any:
    return lambda label: (counts[label], label)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(show(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'}"
