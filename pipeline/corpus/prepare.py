"""Parts text and labels: what an encoder needs never depends on what a head needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.records import Example, Text
from pipeline.corpus.settings import SPLITS, CorpusSettings
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
        kinds=dict(settings.labels),
        report=_report(examples, splits, settings),
    )


def _report(
    examples: Sequence[Example], splits: Sequence[str], settings: CorpusSettings
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
        "labels": {
            label: {name: _count(examples, splits, label, name) for name in SPLITS}
            for label in settings.labels
        },
    }


def _count(
    examples: Sequence[Example], splits: Sequence[str], label: str, split: str
) -> dict[str, int]:
    """How often each class or tag occurs in one split."""
    counts: Counter[str] = Counter()
    for example, name in zip(examples, splits, strict=True):
        if name == split:
            value = example.labels[label]
            counts.update([value] if isinstance(value, str) else value)
    return dict(sorted(counts.items()))
