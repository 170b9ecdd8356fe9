"""Metrics as lines that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from pipeline.core.errors import DataError
from pipeline.evaluation.predictions import SPLITS

Metrics: TypeAlias = Mapping[str, Any]

_NAMES = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "entity_f1": "entity F1",
    "rmse": "RMSE",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "f1": "F1",
}
_TABLES = ("per_class", "per_label", "per_tag", "per_type")
_RIVALS = ("baseline", "probe")
_COLUMNS = (
    "head",
    "score",
    "dev",
    "test (95%)",
    "test, all runs",
    "baseline",
    "over the baseline (95%)",
    "linear probe",
    "over the probe (95%)",
)


def summary(metrics: Metrics) -> list[str]:
    """Headline scores per split with intervals, baselines and margins; then a table of test."""
    lines = []
    for split in SPLITS:
        scores = metrics[split]
        names = headlines(scores)
        lines.append(
            f"{split}: "
            + ", ".join(f"{score_title(name)} {_with_interval(scores, name)}" for name in names)
        )
        lines += [f"  {_against(names, scores[rival])}" for rival in _RIVALS if rival in scores]
    if "runs" in metrics:
        lines.append(_runs_line(metrics))
    return lines + _table_lines(metrics["test"])


def results_table(heads: Mapping[str, Metrics]) -> list[str]:
    """One Markdown row per head: its first headline score on dev and test, beside baselines.

    Columns that no head has anything for are left out.

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
            "dev": _number(dev[name]),
            "test (95%)": _with_interval(test, name),
        }
        for rival, title in (("baseline", "baseline"), ("probe", "linear probe")):
            if rival in test:
                row |= {
                    title: _number(test[rival][name]),
                    f"over the {rival} (95%)": _with_interval(
                        test[rival]["margin"], name, signed=True
                    ),
                }
        if "runs" in metrics:
            row["test, all runs"] = _over_runs(metrics["runs"], "test", name)
        rows.append(row)
    return _markdown(rows)


def headlines(scores: Metrics) -> list[str]:
    """The scores of a split that have an interval; a head is judged by the first."""
    return [name for name in scores if f"{name}_low" in scores]


def _against(names: Sequence[str], rival: Metrics) -> str:
    parts = [
        f"{score_title(name)} {_number(rival[name])}, "
        f"margin {_with_interval(rival['margin'], name, signed=True)}"
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


def score_title(name: str) -> str:
    """The name of a score, or of a column of scores, for people."""
    return _NAMES.get(name, name.replace("_", " "))


def _cell(value: float | None) -> str:
    return str(value) if isinstance(value, int) else _number(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _with_interval(scores: Metrics, name: str, *, signed: bool = False) -> str:
    """``0.951 [0.919, 0.978]``; a dash where the score is undefined."""
    values = [scores[key] for key in (name, f"{name}_low", f"{name}_high")]
    if None in values:
        return _number(values[0])
    value, low, high = (f"{number:{'+' if signed else ''}.3f}" for number in values)
    return f"{value} [{low}, {high}]"
