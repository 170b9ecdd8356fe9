"""Parts text and labels: what an encoder needs never depends on what a head needs."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.corpus.records import Example, Text
from pipeline.corpus.schemes import first_fault, to_bio
from pipeline.corpus.settings import SCHEMES, SPLITS, STORED_KIND, CorpusSettings
from pipeline.corpus.splits import split_rows


@dataclass(frozen=True)
class PreparedCorpus:
    """A corpus as the later stages read it; rows in raw order, nothing removed."""

    ids: list[str]
    texts: list[Text]
    labels: list[dict[str, Any]]
    splits: list[str]
    kinds: dict[str, str]
    report: dict[str, Any]


def prepare(examples: Sequence[Example], settings: CorpusSettings) -> PreparedCorpus:
    """Splits the examples and counts what a user should know about them.

    Returns:
        The corpus, with a report of rows and labels per split, inputs that occur more than once,
        and repeated inputs whose labels conflict.
    """
    repaired = {name: 0 for name, kind in settings.labels.items() if kind in SCHEMES}
    examples = [_in_bio(example, settings, repaired) for example in examples]
    strata = settings.stratify and [str(example.labels[settings.stratify]) for example in examples]
    splits = split_rows(
        [example.text for example in examples],
        strata or None,
        fractions={name: getattr(settings.split, name) for name in SPLITS},
        seed=settings.seed,
    )
    return PreparedCorpus(
        ids=[example.id for example in examples],
        texts=[example.text for example in examples],
        labels=[dict(example.labels) for example in examples],
        splits=splits,
        kinds={name: STORED_KIND[kind] for name, kind in settings.labels.items()},
        report=_report(examples, splits, settings, repaired),
    )


def _in_bio(example: Example, settings: CorpusSettings, repaired: dict[str, int]) -> Example:
    """The example with its entity tags in BIO; counts what had to be repaired on the way."""
    labels = dict(example.labels)
    for name, kind in settings.labels.items():
        scheme, tags = SCHEMES.get(kind), labels[name]
        if scheme and isinstance(tags, tuple):
            repaired[name] += first_fault(tags, scheme) is not None
            labels[name] = to_bio(tags, scheme)
    return replace(example, labels=labels)


def _report(
    examples: Sequence[Example],
    splits: Sequence[str],
    settings: CorpusSettings,
    repaired: dict[str, int],
) -> dict[str, Any]:
    groups: defaultdict[Text, list[Example]] = defaultdict(list)
    for example in examples:
        groups[example.text].append(example)
    repeated = [group for group in groups.values() if len(group) > 1]
    return {
        "rows": len(examples),
        "splits": {name: splits.count(name) for name in SPLITS},
        "repeated_inputs": {
            "inputs": len(repeated),
            "rows_beyond_the_first": sum(len(group) - 1 for group in repeated),
            "inputs_with_conflicting_labels": {
                label: sum(
                    len({example.labels[label] for example in group}) > 1 for group in repeated
                )
                for label in settings.labels
            },
        },
        **({"rows_with_repaired_tags": repaired} if repaired else {}),
        "labels": {
            label: {name: _summary(examples, splits, label, name) for name in SPLITS}
            for label in settings.labels
        },
    }


def _summary(
    examples: Sequence[Example], splits: Sequence[str], label: str, split: str
) -> dict[str, Any]:
    """Of one split: how often each class or tag occurs, or how its numbers are spread."""
    values = [
        example.labels[label]
        for example, name in zip(examples, splits, strict=True)
        if name == split
    ]
    if values and isinstance(values[0], float):
        return _spread([value for value in values if isinstance(value, float)])
    counts: Counter[str] = Counter()
    for value in values:
        counts.update([value] if isinstance(value, str) else value)  # type: ignore[arg-type]
    return dict(sorted(counts.items()))


def _spread(numbers: Sequence[float]) -> dict[str, float]:
    return {
        "count": len(numbers),
        "mean": statistics.fmean(numbers),
        "deviation": statistics.pstdev(numbers),
        "minimum": min(numbers),
        "maximum": max(numbers),
    }
