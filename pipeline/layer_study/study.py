"""Summary of a layer study: scores of every selection, the best on dev, and that one's on test.

Scores are means over seeds; their intervals are of the bootstrap over examples, on the same draws
for all, so that differences between selections of layers are paired. Selectivity is a score on the
real labels less that on the control task, by accuracy. All that is compared, and the choice, is of
dev.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from pipeline.corpus.storage import Labels
from pipeline.evaluation.bootstrap import Draws, draw, interval
from pipeline.layer_study.selections import LayerSelection, Rows, SelectionPredictions
from pipeline.tasks.label_type import LabelType, Row
from pipeline.tasks.registry import label_type_for
from pipeline.tasks.resampling import LOWER_IS_BETTER, Floats, ResampledMetrics

Numbers = dict[str, float | None]


@dataclass(frozen=True)
class _Column:
    """A label column and what a task learns of it."""

    label_type: LabelType
    labels: Labels

    def of_split(self, run: Sequence[Row], split: str) -> tuple[list[Any], list[Row]]:
        """Gold labels and predictions of a split, in the same order."""
        rows = {row["id"]: row for row in run if row["split"] == split}
        members = [n for n, own in enumerate(self.labels.splits) if own == split]
        return (
            [self.labels.values[n] for n in members],
            [rows[self.labels.ids[n]] for n in members],
        )

    def resampled(self, run: Sequence[Row], split: str) -> ResampledMetrics:
        """Headline metrics of a run on a split."""
        return self.label_type.resampled(*self.of_split(run, split))


def summarise(
    found: Mapping[LayerSelection, SelectionPredictions],
    labels: Labels,
    control: Labels,
    *,
    task: str,
    metric: str,
) -> dict[str, Any]:
    """The study, ready for JSON; ``docs/guides/iterate.md`` describes the fields.

    Args:
        found: predictions of each selection, in the order of the table.
        labels: the real labels.
        control: those of the control task.
        task: what the heads learn.
        metric: the head's; where the kind of label has no interval of it, its first one is taken.
    """
    real = _Column(label_type_for(task, labels.kind), labels)
    chance = _Column(label_type_for(task, control.kind), control)
    known = real.resampled(_any(found).real.probe, "dev").measures
    metric = metric if metric in known else next(iter(known))
    dev = {
        selection.name: {"layers": list(selection.layers)}
        | _scores(rows, real, chance, metric=metric, split="dev")
        for selection, rows in found.items()
    }
    chosen = _best(dev, metric)
    compared = _differences(found, real, metric=metric, chosen=chosen)
    for name, selection in dev.items():
        selection["head"]["behind_chosen"] = compared[name]
    best = next(selection for selection in found if selection.name == chosen)
    return {
        "metric": metric,
        "control_metric": real.label_type.control_metric,
        "seeds": list(_any(found).real.heads),
        "chosen": chosen,
        "dev": dev,
        "labels": _per_label(found, real),
        "test": _scores(found[best], real, chance, metric=metric, split="test"),
    }


def _any(found: Mapping[LayerSelection, SelectionPredictions]) -> SelectionPredictions:
    return next(iter(found.values()))


def _scores(
    rows: SelectionPredictions, real: _Column, chance: _Column, *, metric: str, split: str
) -> dict[str, Any]:
    """Scores of the head and of the probe of one selection."""
    return {
        who: _score(one, rows, real, chance, metric=metric, split=split)
        for who, one in (("head", _heads), ("probe", _probe))
    }


def _heads(rows: Rows) -> list[list[Row]]:
    return list(rows.heads.values())


def _probe(rows: Rows) -> list[list[Row]]:
    return [rows.probe]


def _score(
    runs: Any,
    rows: SelectionPredictions,
    real: _Column,
    chance: _Column,
    *,
    metric: str,
    split: str,
) -> dict[str, Any]:
    accuracy = real.label_type.control_metric
    samples = [real.resampled(run, split) for run in runs(rows.real)]
    where = interval(_mean([drawn[metric] for drawn in draw(samples)]))
    values = [_value(sample, metric) for sample in samples]
    share = fmean(_value(sample, accuracy) for sample in samples)
    by_chance = fmean(_value(chance.resampled(run, split), accuracy) for run in runs(rows.control))
    result: dict[str, Any] = {
        "score": fmean(values),
        "deviation": stdev(values) if len(values) > 1 else None,
        "low": where.low,
        "high": where.high,
        "accuracy": share,
        "control": by_chance,
        "selectivity": share - by_chance,
    }
    if rows.random_init is not None:
        baselines = [_value(real.resampled(run, split), metric) for run in runs(rows.random_init)]
        result["floor"] = fmean(baselines)
    return result


def _best(dev: Mapping[str, Any], metric: str) -> str:
    """The selection whose heads are best, the first among equals."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return max(dev, key=lambda name: sign * dev[name]["head"]["score"])


def _differences(
    found: Mapping[LayerSelection, SelectionPredictions], real: _Column, *, metric: str, chosen: str
) -> dict[str, Numbers | None]:
    """Paired differences between each selection's heads and the chosen one's: below 0, worse."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    samples = {
        selection.name: [real.resampled(run, "dev") for run in rows.real.heads.values()]
        for selection, rows in found.items()
    }
    drawn: list[Draws] = draw([sample for some in samples.values() for sample in some])
    means: dict[str, Floats] = {}
    values: dict[str, float] = {}
    for name, some in samples.items():
        own, drawn = drawn[: len(some)], drawn[len(some) :]
        means[name] = _mean([draws[metric] for draws in own])
        values[name] = fmean(_value(sample, metric) for sample in some)
    result: dict[str, Numbers | None] = {}
    for name in samples:
        where = interval(sign * (means[name] - means[chosen]))
        by: Numbers = {
            "value": sign * (values[name] - values[chosen]),
            "low": where.low,
            "high": where.high,
        }
        result[name] = None if name == chosen else by
    return result


def _per_label(
    found: Mapping[LayerSelection, SelectionPredictions], real: _Column
) -> dict[str, dict[str, Any]]:
    """F1 on dev of each label or type: by label its support, and a mean per selection."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for selection, rows in found.items():
        tables[selection.name] = []
        for run in rows.real.heads.values():
            details = real.label_type.details(*real.of_split(run, "dev"))
            table: dict[str, Any] = next(
                (v for key, v in details.items() if key.startswith("per_")), {}
            )
            tables[selection.name].append(table)
    names = sorted({name for some in tables.values() for table in some for name in table})
    found_rows = {}
    for name in names:
        rows_of = [table[name] for some in tables.values() for table in some if name in table]
        found_rows[name] = {
            "support": max(row["support"] for row in rows_of),
            "f1": {
                selection: fmean(table[name]["f1"] if name in table else 0.0 for table in some)
                for selection, some in tables.items()
            },
        }
    return found_rows


def _value(sample: ResampledMetrics, metric: str) -> float:
    value = sample.scores()[metric]
    return 0.0 if value is None else value  # a correlation of numbers that are all the same


def _mean(draws: Sequence[Floats]) -> Floats:
    mean: Floats = np.mean(np.stack(draws), axis=0)
    return mean
