"""What the page says of studies: whatever columns their tables have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.inputs import Rows, StudyInput
from pipeline.report.plots import Plot, layers_spec, trials_spec
from pipeline.report.tables import Column, Table, value_cell

MOST_ROWS = 200
"""Rows of a study's table in the page."""

_TRIAL = ("trial", "number")
_SCORE = ("dev_score", "score", "dev", "value")
_SERIES = ("model", "kind", "what", "series")


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
        tables.append(_table(file, rows))
        if len(rows) > MOST_ROWS:
            notes.append(f"{file}: the first {MOST_ROWS} of {len(rows)} rows.")
        spec = _trials(rows) if file == "trials.csv" else _layers(rows)
        if spec is not None:
            caption = "Trials" if file == "trials.csv" else "Layers"
            place = f"study-{study.name}-{len(plots)}"
            plots.append(Plot(place, f"{caption} of {study.name}", spec, wide=True))
    return StudyView(study.name, tables, plots, notes)


def _table(file: str, rows: Rows) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[value_cell(row.get(name, "")) for name in names] for row in rows[:MOST_ROWS]]
    numeric = [
        any(isinstance(row[place].sort, int | float) for row in cells)
        for place in range(len(names))
    ]
    columns = [Column(name, number=number) for name, number in zip(names, numeric, strict=True)]
    return Table(file.removesuffix(".csv"), columns, cells)


def _trials(rows: Rows) -> dict[str, Any] | None:
    trial, score = _known(rows, _TRIAL), _known(rows, _SCORE)
    if trial is None or score is None:
        return None
    points = [
        (x, y)
        for row in rows
        if (x := _number(row, trial)) is not None and (y := _number(row, score)) is not None
    ]
    return trials_spec(points, score.replace("_", " ")) if points else None


def _layers(rows: Rows) -> dict[str, Any] | None:
    score = _known(rows, _SCORE)
    if score is None or _known(rows, ("layer",)) is None:
        return None
    series = _known(rows, _SERIES)
    points: list[Mapping[str, Any]] = [
        {
            "layer": row["layer"],
            "series": row[series] if series else "score",
            "value": value,
            "low": _end(row, score, "low"),
            "high": _end(row, score, "high"),
        }
        for row in rows
        if (value := _number(row, score)) is not None
    ]
    return layers_spec(points, score.replace("_", " ")) if points else None


def _known(rows: Rows, names: Sequence[str]) -> str | None:
    return next((name for name in names if rows and name in rows[0]), None)


def _end(row: Mapping[str, str], score: str, end: str) -> float | None:
    found = _number(row, f"{score}_{end}")
    return _number(row, end) if found is None else found


def _number(row: Mapping[str, str], name: str) -> float | None:
    value = value_cell(row.get(name, "")).sort
    return float(value) if isinstance(value, int | float) else None
