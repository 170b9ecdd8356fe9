"""Predictions and labels of one head to metrics, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import DataError
from pipeline.corpus.folds import Fold, Run, by_fold
from pipeline.corpus.storage import Labels
from pipeline.corpus.texts import Text
from pipeline.evaluation.bootstrap import differences, draw, interval
from pipeline.evaluation.mistakes import mistakes
from pipeline.evaluation.predictions import SPLITS, Predictions, out_of_fold
from pipeline.evaluation.rivals import Rival
from pipeline.evaluation.runs import Numbers, with_spread
from pipeline.tasks.calibration import CalibrationBin
from pipeline.tasks.label_type import Baseline, LabelType, Pair
from pipeline.tasks.resampling import LOWER_IS_BETTER


@dataclass(frozen=True)
class Evaluation:
    """Scores of a head.

    Attributes:
        metrics: ready for JSON; ``docs/metrics.md`` describes the fields.
        confusion: ``(actual, predicted)`` pairs of the test rows: of every text with a class or a
            number, of every word with a tag, of every word inside an entity of either, of every
            label that a text has or was given.
        calibration: of classes, bins of the test rows by rising confidence; else empty.
        mistakes: the rows of dev and test that were predicted wrongly, the surest first; in folds,
            of test, which all rows are in.
    """

    metrics: dict[str, Any]
    confusion: list[Pair]
    calibration: list[CalibrationBin]
    mistakes: list[dict[str, Any]]


@dataclass(frozen=True)
class _Split:
    """The rows of dev or test, in the order of the corpus; in folds, those of all runs together."""

    folds: list[Fold]
    """The fold whose runs have a row in this split."""
    ids: list[str]
    gold: list[Any]
    texts: list[Text]

    def of(self, fold: Fold) -> _Split:
        """The rows of one fold's runs."""
        mine = [place for place, own in enumerate(self.folds) if own == fold]
        return _Split(
            [fold] * len(mine),
            [self.ids[place] for place in mine],
            [self.gold[place] for place in mine],
            [self.texts[place] for place in mine],
        )

    def rows(self, predictions: Mapping[Fold, Predictions]) -> list[Mapping[str, Any]]:
        """Every row as a run of its fold predicted it."""
        return [
            predictions[fold][row_id] for fold, row_id in zip(self.folds, self.ids, strict=True)
        ]


def evaluate(
    label_type: LabelType,
    labels: Labels,
    texts: Sequence[Text],
    runs: Mapping[Run, Predictions],
    *,
    kept: Run,
    rivals: Mapping[str, Rival] | None = None,
    training: Mapping[str, float] | None = None,
) -> Evaluation:
    """Scores predictions on dev and test.

    In folds, dev and test are all rows of the corpus, each as that run predicted it which had it
    there, and baselines know what that run learned from.

    Args:
        label_type: what the head learnt.
        labels: the head's label column.
        texts: the inputs, row by row as the labels.
        runs: checked predictions of each run.
        kept: whose seed's predictions are reported; of the others only headline scores are.
        rivals: fitted ones by key.
        training: facts on the training of the run that was kept, where they are known.

    Raises:
        DataError: a split is empty, or there are too few folds.
    """
    seen = by_fold(labels)
    trivial = {fold: _baseline(label_type, own, texts) for fold, own in seen.items()}
    splits = {name: _split(seen, texts, name) for name in SPLITS}
    reported = {run.fold: rows for run, rows in runs.items() if run.seed == kept.seed}
    metrics: dict[str, Any] = {"seed": kept.seed}
    if kept.fold is not None:
        metrics["fold"] = kept.fold
    if training is not None:
        metrics["training"] = dict(training)
    for name, split in splits.items():
        baselines: dict[str, tuple[str, Sequence[Mapping[str, Any]]]] = {
            "baseline": (
                trivial[split.folds[0]].name,
                [
                    trivial[fold].predict(text)
                    for fold, text in zip(split.folds, split.texts, strict=True)
                ],
            )
        }
        for key, rival in (rivals or {}).items():
            baselines[key] = (rival.name, split.rows(rival.predictions))
        metrics[name] = _scores(label_type, split.gold, split.rows(reported), baselines)
    if len(runs) > 1:
        metrics["runs"] = with_spread(
            {run: _run_scores(label_type, splits, run.fold, rows) for run, rows in runs.items()}
        )
    test = splits["test"]
    rows = test.rows(reported)
    tested, tested_rows = out_of_fold(labels, reported)
    return Evaluation(
        metrics=metrics,
        confusion=label_type.pairs(test.gold, rows),
        calibration=label_type.calibration_bins(test.gold, rows),
        mistakes=mistakes(label_type, tested, texts, tested_rows, SPLITS),
    )


def _baseline(label_type: LabelType, labels: Labels, texts: Sequence[Text]) -> Baseline:
    """The baseline of the training rows."""
    train = [row for row, split in enumerate(labels.splits) if split == "train"]
    if not train:
        raise DataError("the train split is empty")
    return label_type.baseline([texts[row] for row in train], [labels.values[row] for row in train])


def _split(seen: Mapping[Fold, Labels], texts: Sequence[Text], name: str) -> _Split:
    found = {
        row: (fold, labels.ids[row], labels.values[row], texts[row])
        for fold, labels in seen.items()
        for row, split in enumerate(labels.splits)
        if split == name
    }
    if not found:
        raise DataError(f"the {name} split is empty")
    folds, ids, gold, inputs = zip(*(found[row] for row in sorted(found)), strict=True)
    return _Split(list(folds), list(ids), list(gold), list(inputs))


def _scores(
    label_type: LabelType,
    gold: Sequence[Any],
    rows: Sequence[Mapping[str, Any]],
    baselines: Mapping[str, tuple[str, Sequence[Mapping[str, Any]]]],
) -> dict[str, Any]:
    """The part of the metrics that is one split's."""
    head = label_type.resampled(gold, rows)
    resampled = [
        label_type.resampled(gold, baseline_rows) for _, baseline_rows in baselines.values()
    ]
    draws, *baseline_draws = draw([head, *resampled])
    scores = head.scores()
    metrics: dict[str, Any] = {"examples": len(gold)}
    for name, value in scores.items():
        where = interval(draws[name])
        metrics |= _with_interval(name, value, where.low, where.high)
    tables: dict[str, Any] = {}
    for name, detail in label_type.details(gold, rows).items():
        (tables if isinstance(detail, dict) else metrics)[name] = detail
    for (key, (title, _)), other, drawn in zip(
        baselines.items(), resampled, baseline_draws, strict=True
    ):
        baseline_scores = other.scores()
        margin: Numbers = {}
        for name, by in differences(scores, baseline_scores, draws, drawn).items():
            better = (by.value, by.low, by.high)
            if name in LOWER_IS_BETTER:
                better = (_negative(by.value), _negative(by.high), _negative(by.low))
            margin |= _with_interval(name, *better)
        metrics[key] = {"name": title, **baseline_scores, "margin": margin}
    return metrics | tables


def _run_scores(
    label_type: LabelType, splits: Mapping[str, _Split], fold: Fold, predictions: Predictions
) -> dict[str, Numbers]:
    """Headline scores of a run on its own dev and test."""
    own = {name: split.of(fold) for name, split in splits.items()}
    return {
        name: label_type.resampled(split.gold, split.rows({fold: predictions})).scores()
        for name, split in own.items()
    }


def _with_interval(
    name: str, value: float | None, low: float | None, high: float | None
) -> Numbers:
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _negative(value: float | None) -> float | None:
    return None if value is None else -value
