"""Predictions and labels of one head to metrics, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from pipeline.corpus.records import Text
from pipeline.corpus.storage import Labels
from pipeline.errors import DataError
from pipeline.evaluation.baselines import baseline
from pipeline.evaluation.bootstrap import differences, draw, interval
from pipeline.evaluation.calibration import CalibrationBin, calibration
from pipeline.evaluation.kinds import KINDS, Kind
from pipeline.evaluation.mistakes import mistakes
from pipeline.evaluation.pairs import Pair
from pipeline.evaluation.predictions import SPLITS, Predictions
from pipeline.evaluation.samples import LOWER_IS_BETTER

Numbers = dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """Scores of a head.

    Attributes:
        metrics: ready for JSON; ``docs/metrics.md`` describes the fields.
        confusion: ``(actual, predicted)`` pairs of the test split: of every text with a class or a
            number, of every word with a tag, of every word inside an entity of either, of every
            label that a text has or was given.
        calibration: of classes, bins of the test split by rising confidence; else empty.
        mistakes: the rows of dev and test that were predicted wrongly, the surest first.
    """

    metrics: dict[str, Any]
    confusion: list[Pair]
    calibration: list[CalibrationBin]
    mistakes: list[dict[str, Any]]


@dataclass(frozen=True)
class _Split:
    """Gold labels and texts of a split, and its ids."""

    ids: list[str]
    gold: list[Any]
    texts: list[Text]

    def rows(self, predictions: Predictions) -> list[Mapping[str, Any]]:
        return [predictions[row_id] for row_id in self.ids]


def evaluate(
    labels: Labels,
    texts: Sequence[Text],
    runs: Mapping[int, Predictions],
    *,
    kept: int,
    probe: Predictions | None = None,
) -> Evaluation:
    """Scores predictions on dev and test.

    Args:
        labels: the head's label column.
        texts: the inputs, row by row as the labels.
        runs: checked predictions of each seed.
        kept: the seed whose predictions are reported; of the others only headline scores are.
        probe: checked predictions of the linear probe, where there is one.

    Raises:
        DataError: a split is empty.
    """
    splits = {
        name: _split(labels, texts, [row for row, own in enumerate(labels.splits) if own == name])
        for name in ("train", *SPLITS)
    }
    for name, split in splits.items():
        if not split.ids:
            raise DataError(f"the {name} split is empty")
    kind = KINDS[labels.kind]
    guess = baseline(labels.kind, splits["train"].texts, splits["train"].gold)
    metrics: dict[str, Any] = {"seed": kept}
    for name in SPLITS:
        split = splits[name]
        rivals: dict[str, tuple[str, Sequence[Mapping[str, Any]]]] = {
            "baseline": (guess.name, [guess.predict(text) for text in split.texts])
        }
        if probe is not None:
            rivals["probe"] = ("linear probe", split.rows(probe))
        metrics[name] = _scores(kind, split.gold, split.rows(runs[kept]), rivals)
    if len(runs) > 1:
        metrics["runs"] = _runs(kind, {name: splits[name] for name in SPLITS}, runs)
    test = splits["test"]
    rows = test.rows(runs[kept])
    return Evaluation(
        metrics=metrics,
        confusion=kind.pairs(test.gold, rows),
        calibration=_calibration_bins(test.gold, rows) if labels.kind == "class" else [],
        mistakes=mistakes(labels, texts, runs[kept], SPLITS),
    )


def _split(labels: Labels, texts: Sequence[Text], members: Sequence[int]) -> _Split:
    return _Split(
        [labels.ids[row] for row in members],
        [labels.values[row] for row in members],
        [texts[row] for row in members],
    )


def _scores(
    kind: Kind,
    gold: Sequence[Any],
    rows: Sequence[Mapping[str, Any]],
    rivals: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]],
) -> dict[str, Any]:
    """The part of the metrics that is one split's."""
    head = kind.sample(gold, rows)
    others = [kind.sample(gold, theirs) for _, theirs in rivals.values()]
    draws, *their_draws = draw([head, *others])
    scores = head.scores()
    metrics: dict[str, Any] = {"examples": len(gold)}
    for name, value in scores.items():
        where = interval(draws[name])
        metrics |= _with_interval(name, value, where.low, where.high)
    tables: dict[str, Any] = {}
    for name, detail in kind.details(gold, rows).items():
        (tables if isinstance(detail, dict) else metrics)[name] = detail
    for (key, (title, _)), other, drawn in zip(rivals.items(), others, their_draws, strict=True):
        theirs = other.scores()
        margin: Numbers = {}
        for name, by in differences(scores, theirs, draws, drawn).items():
            better = (by.value, by.low, by.high)
            if name in LOWER_IS_BETTER:
                better = (_negative(by.value), _negative(by.high), _negative(by.low))
            margin |= _with_interval(name, *better)
        metrics[key] = {"name": title, **theirs, "margin": margin}
    return metrics | tables


def _runs(
    kind: Kind, splits: Mapping[str, _Split], runs: Mapping[int, Predictions]
) -> dict[str, dict[str, Numbers]]:
    """Headline scores of every seed, then their mean and sample standard deviation."""
    found = {
        f"seed_{seed}": {
            name: kind.sample(split.gold, split.rows(predictions)).scores()
            for name, split in splits.items()
        }
        for seed, predictions in runs.items()
    }
    columns = {
        name: {score: [run[name][score] for run in found.values()] for score in scores}
        for name, scores in next(iter(found.values())).items()
    }
    for title, summarise in (("mean", fmean), ("deviation", stdev)):
        found[title] = {
            name: {
                score: None if None in values else summarise([value or 0.0 for value in values])
                for score, values in scores.items()
            }
            for name, scores in columns.items()
        }
    return found


def _calibration_bins(
    gold: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[CalibrationBin]:
    return calibration(
        gold, [row["label"] for row in rows], [row["probabilities"] for row in rows]
    ).bins


def _with_interval(
    name: str, value: float | None, low: float | None, high: float | None
) -> Numbers:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
