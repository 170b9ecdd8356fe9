"""Views of corpora and of features in the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.spans import OUTSIDE
from pipeline.report.artefacts import CorpusInput
from pipeline.report.page_tables import Cell, Column, Table, count_cell, flat, text_cell, value_cell
from pipeline.report.plots import Plot, counts_spec

MOST_CLASSES = 40
"""Classes of a label that are listed."""
_MOST_BARS = 20


@dataclass(frozen=True)
class CorpusView:
    """A corpus in the page.

    Attributes:
        labels: a table for each label column.
        counts: whatever else ``prepare`` counted.
        notes: what tables leave out.
    """

    name: str
    rows: int
    splits: Table
    labels: list[Table]
    plots: list[Plot]
    warnings: list[str]
    counts: Table
    notes: list[str]


def corpus_view(corpus: CorpusInput) -> CorpusView:
    """Counts per split, balance of labels, and warnings."""
    report = corpus.report
    tables: list[Table] = []
    plots: list[Plot] = []
    notes: list[str] = []
    for label, splits in report.get("labels", {}).items():
        tables.append(_label_table(label, splits))
        classes = _ranked(splits)
        if len(classes) > MOST_CLASSES:
            notes.append(f"{label}: the {MOST_CLASSES} most frequent of {len(classes)} are listed.")
        drawn = [name for name in classes if name != OUTSIDE]
        if drawn:
            caption = f"{label}: how each split is made up"
            if len(drawn) > _MOST_BARS:
                caption += f", the {_MOST_BARS} most frequent of {len(drawn)}"
            shares = {
                split: {name: own.get(name, 0) for name in drawn} for split, own in splits.items()
            }
            place = f"corpus-{corpus.name}-{len(plots)}"
            plots.append(Plot(place, caption, counts_spec(shares, drawn[:_MOST_BARS])))
    counts = flat(report, skip=("rows", "splits", "labels", "balance", "warnings"))
    return CorpusView(
        name=corpus.name,
        rows=report["rows"],
        splits=_splits_table(report),
        labels=tables,
        plots=plots,
        warnings=list(report.get("warnings", [])),
        counts=Table(
            "Also counted",
            [Column("what"), Column("number", number=True)],
            [[text_cell(name), value_cell(value)] for name, value in counts.items()],
        ),
        notes=notes,
    )


def features_table(features: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row per features row: what was extracted, and what was cut."""
    columns = list(dict.fromkeys(name for report in features.values() for name in flat(report)))
    return Table(
        "Features",
        [Column("features"), *(Column(name, number=name != "layers") for name in columns)],
        [
            [text_cell(name), *(value_cell(flat(report).get(column)) for column in columns)]
            for name, report in features.items()
        ],
    )


def _splits_table(report: Mapping[str, Any]) -> Table:
    rows = [
        [text_cell(split), count_cell(count, _share(count, report["rows"]))]
        for split, count in report["splits"].items()
    ]
    return Table("Rows per split", [Column("split"), Column("rows", number=True)], rows)


def _label_table(label: str, splits: Mapping[str, Mapping[str, Any]]) -> Table:
    classes = _ranked(splits)
    if classes or not any(splits.values()):
        columns = [Column(split, number=True) for split in splits]
        rows = [
            [text_cell(name), *(_class_cell(name, own) for own in splits.values())]
            for name in classes[:MOST_CLASSES]
        ]
        return Table(label, [Column(label), *columns], rows)
    statistics = list(dict.fromkeys(name for own in splits.values() for name in own))
    return Table(
        label,
        [Column("split"), *(Column(name, number=True) for name in statistics)],
        [
            [text_cell(split), *(value_cell(own.get(name)) for name in statistics)]
            for split, own in splits.items()
        ],
    )


def _class_cell(name: str, counts: Mapping[str, int]) -> Cell:
    count = counts.get(name, 0)
    return count_cell(count, _share(count, sum(counts.values())))


def _ranked(splits: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """Classes, the most frequent first; none where the label is a number."""
    total: Counter[str] = Counter()
    for own in splits.values():
        if any(isinstance(count, float) for count in own.values()):
            return []
        total.update(own)
    return sorted(total, key=lambda name: (-total[name], name))


def _share(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else ""
