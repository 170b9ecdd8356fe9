"""Metrics as lines that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from pipeline.core.errors import DataError
from pipeline.evaluation.headlines import headlines, number, score_title, with_interval
from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.rivals import TITLES
from pipeline.evaluation.verdict import best_rival, verdict

Metrics: TypeAlias = Mapping[str, Any]

_TABLES = ("per_class", "per_label", "per_tag", "per_type")
_COLUMNS = (
    "head",
    "score",
    "dev",
    "test (95%)",
    "test, all runs",
    *TITLES.values(),
    "over the best (95%)",
)


def summary(metrics: Metrics) -> list[str]:
    """Headline scores with intervals, rivals and margins; a table of test; then the verdict."""
    lines = []
    for split in SPLITS:
        scores = metrics[split]
        names = headlines(scores)
        lines.append(
            f"{split}: "
            + ", ".join(f"{score_title(name)} {with_interval(scores, name)}" for name in names)
        )
        lines += [f"  {_against(names, scores[rival])}" for rival in TITLES if rival in scores]
    if "runs" in metrics:
        lines.append(_runs_line(metrics))
    # In the last line, which is all that is printed with --quiet.
    return [*lines, *_table_lines(metrics["test"]), "; ".join(verdict(metrics).sentences)]


def results_table(heads: Mapping[str, Metrics]) -> list[str]:
    """One Markdown row per head, and a line with the verdict on each.

    A row has the first headline score on dev and test, those of its rivals on test, and the margin
    there over the rival that is the best on dev. Columns that no head has anything for are left
    out.

    Raises:
        DataError: the metrics of a head are not of this form.
    """
    rows = []
    for head, metrics in heads.items():
        if any(not headlines(metrics.get(split, {})) for split in SPLITS):
            raise DataError(f"the metrics of head {head!r} are of another version; run `dvc repro`")
        dev, test = (metrics[split] for split in SPLITS)
        name = headlines(test)[0]
        row = {
            "head": f"`{head}`",
            "score": score_title(name),
            "dev": number(dev[name]),
            "test (95%)": with_interval(test, name),
        }
        row |= {
            title: number(test[rival][name]) for rival, title in TITLES.items() if rival in test
        }
        if best := best_rival(dev):
            margin = with_interval(test[best]["margin"], name, signed=True)
            row["over the best (95%)"] = f"{margin}, {TITLES[best]}"
        if "runs" in metrics:
            row["test, all runs"] = _over_runs(metrics["runs"], "test", name)
        rows.append(row)
    verdicts = [
        f"- `{head}`: {'; '.join(verdict(metrics).sentences)}." for head, metrics in heads.items()
    ]
    return [*_markdown(rows), "", *verdicts]


def _against(names: Sequence[str], rival: Metrics) -> str:
    parts = [
        f"{score_title(name)} {number(rival[name])}, "
        f"margin {with_interval(rival['margin'], name, signed=True)}"
        for name in names
    ]
    return f"{rival['name']}: " + "; ".join(parts)


def _runs_line(metrics: Metrics) -> str:
    runs = metrics["runs"]
    own = [name for name in runs if name.startswith(("seed_", "fold_"))]
    over, kept = f"{len(own)} seeds", f"{metrics['seed']}"
    if "fold" in metrics:
        folds = len({name.partition("_seed_")[0] for name in own})
        over, kept = f"{folds} folds", f"fold {metrics['fold']}"
        if len(own) > folds:
            over += f" with {len(own) // folds} seeds each"
            kept += f", seed {metrics['seed']}"
    names = headlines(metrics["test"])
    means = ", ".join(f"{score_title(name)} {_over_runs(runs, 'test', name)}" for name in names)
    return f"test, mean and deviation of {over}: {means}; kept: {kept}"


def _over_runs(runs: Metrics, split: str, name: str) -> str:
    mean, deviation = (runs[title][split][name] for title in ("mean", "deviation"))
    return "undefined" if mean is None or deviation is None else f"{mean:.3f} ± {deviation:.3f}"


def _table_lines(test: Metrics) -> list[str]:
    rows: Metrics = next((test[name] for name in _TABLES if name in test), {})
    if not rows:
        return []
    columns = ["precision", "recall", "f1", "support"]
    ranking = any("average_precision" in row for row in rows.values())
    if ranking:
        columns.insert(3, "average_precision")
    names = ["test", *rows]
    cells = [
        [score_title(column).replace("average precision", "AP") for column in columns],
        *([_cell(row[column]) for column in columns] for row in rows.values()),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    width = max(map(len, names))
    return [
        f"  {name:{width}}"
        + "".join(f"  {cell:>{size}}" for cell, size in zip(row, widths, strict=True))
        for name, row in zip(names, cells, strict=True)
    ]


def _markdown(rows: Sequence[Mapping[str, str]]) -> list[str]:
    columns = [column for column in _COLUMNS if any(column in row for row in rows)]
    cells = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]

    def line(row: Iterable[str]) -> str:
        padded = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [line(columns), rule, *map(line, cells[1:])]


def _cell(value: float | None) -> str:
    return str(value) if isinstance(value, int) else number(value)
