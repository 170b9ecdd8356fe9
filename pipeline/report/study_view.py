"""Views of studies in the page: their tables, whatever columns they have, and plots of two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.artefacts import Rows, StudyInput
from pipeline.report.page_tables import Cell, Column, Table, text_cell, value_cell
from pipeline.report.plots import Plot
from pipeline.report.study_plots import layers_spec, trials_spec

MOST_ROWS = 200
"""Rows of a study's table in the page."""

_CAPTIONS = {
    "trials.csv": "Trials",
    "layers.csv": "Readings of the layers, on dev",
    "labels.csv": "F1 of each label, on dev",
}
_SERIES = {
    "head_score": "head",
    "probe_score": "linear probe",
    "head_floor": "head on random weights",
}
"""Columns of ``layers.csv`` that are drawn, and what they are called."""

_NAMES = ("label", "reading")


@dataclass(frozen=True)
class StudyView:
    """A study in the page."""

    name: str
    tables: list[Table]
    plots: list[Plot]
    notes: list[str]


def study_view(study: StudyInput) -> StudyView:
    """Its tables, and a plot of each whose columns are known."""
    tables: list[Table] = []
    plots: list[Plot] = []
    notes: list[str] = []
    for file, rows in study.tables.items():
        if not rows:
            continue
        tables.append(_table(_CAPTIONS[file], rows))
        if len(rows) > MOST_ROWS:
            notes.append(f"{file}: the first {MOST_ROWS} of {len(rows)} rows.")
        spec = _PLOTS[file](rows) if file in _PLOTS else None
        if spec is not None:
            place = f"study-{study.name}-{len(plots)}"
            plots.append(Plot(place, _CAPTIONS[file], spec, wide=True))
    return StudyView(study.name, tables, plots, notes)


def _table(caption: str, rows: Rows) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row if row[name]))
    cells = [[_cell(name, row.get(name, "")) for name in names] for row in rows[:MOST_ROWS]]
    numeric = [
        any(isinstance(row[place].sort, int | float) for row in cells)
        for place in range(len(names))
    ]
    columns = [Column(name, number=number) for name, number in zip(names, numeric, strict=True)]
    return Table(caption, columns, cells)


def _cell(column: str, value: str) -> Cell:
    """A label may be written in digits, and is a name all the same."""
    return text_cell(value) if column in _NAMES else value_cell(value)


def _trials(rows: Rows) -> dict[str, Any] | None:
    points = [
        {"trial": trial, "score": score, "state": row.get("state", "complete")}
        for row in rows
        if (trial := _number(row, "trial")) is not None
        and (score := _number(row, "score")) is not None
    ]
    return trials_spec(points) if points else None


def _layers(rows: Rows) -> dict[str, Any] | None:
    points = [
        {
            "reading": row["reading"],
            "series": series,
            "score": score,
            # The floor has no interval: its column does not end in _score.
            "low": _number(row, column.removesuffix("score") + "low"),
            "high": _number(row, column.removesuffix("score") + "high"),
        }
        for row in rows
        if "reading" in row
        for column, series in _SERIES.items()
        if (score := _number(row, column)) is not None
    ]
    return layers_spec(points) if points else None


_PLOTS = {"trials.csv": _trials, "layers.csv": _layers}


def _number(row: Mapping[str, str], name: str) -> float | None:
    value = value_cell(row.get(name, "")).sort
    return float(value) if isinstance(value, int | float) else None
