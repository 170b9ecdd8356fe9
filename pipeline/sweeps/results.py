"""Files of a sweep: ``study.json``, all of it, and ``trials.csv``, a table to look at.

Both are for git: they hold no dates and no machine. ``study.json`` is enough to go on with a sweep
in another clone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.errors import ParameterError
from pipeline.core.files import csv_text, readable_json, write_text
from pipeline.core.reading import Record, parse_json, parse_record, read_bytes

STUDY = "study.json"
TRIALS = "trials.csv"


Count = Annotated[int, Field(ge=0, lt=2**63)]


class SeedScore(Record):
    """Result of one seed of a trial.

    Attributes:
        dev_score: of its best epoch, as ``head.json`` has it.
        best_epoch: that epoch.
        epochs: how many it was trained.
    """

    dev_score: float
    best_epoch: Count
    epochs: Count


class TrialRecord(Record):
    """One trial that has ended.

    Attributes:
        trial: its number, from 0.
        state: ``complete``; ``pruned``, given up early; ``failed``, it could not be trained.
        score: the mean over seeds of the best dev score; of a pruned trial, the best until then.
        values: its settings, by path into the head's row.
        drawn: what Optuna drew for them.
        seeds: by seed of training.
        curve: dev score of each epoch of the first seed.
        parameters: numbers that the head learns.
        threads: of the CPU, or 0 on a GPU: with other threads, the last digits are others.
        problem: why it failed.
    """

    trial: Count
    state: Literal["complete", "pruned", "failed"]
    score: float | None
    values: dict[str, Any]
    drawn: dict[str, Any]
    seeds: dict[Count, SeedScore]
    curve: list[float]
    parameters: Count | None
    threads: Count
    problem: str | None = None

    @model_validator(mode="after")
    def _has_a_score_unless_it_failed(self) -> Self:
        if (self.score is None) != (self.state == "failed"):
            raise ValueError("a trial has a score unless it failed")
        return self

    @property
    def kept_score(self) -> float | None:
        """The dev score of the head that training with these settings keeps: of the best seed."""
        return max((seed.dev_score for seed in self.seeds.values()), default=None)


class StudyRecord(Record):
    """All of a sweep.

    Attributes:
        basis: what trials must share to be compared: search, head, data and version of torch.
        trials: those that have ended, by number.
    """

    basis: dict[str, Any]
    trials: list[TrialRecord]

    @model_validator(mode="after")
    def _trials_are_of_one_sweep(self) -> Self:
        if len({trial.trial for trial in self.trials}) != len(self.trials):
            raise ValueError("two trials have one number")
        if any(trial.values.keys() != self.trials[0].values.keys() for trial in self.trials):
            raise ValueError("trials differ in what they set")
        return self


def best_first(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Complete trials from the best down, the earlier one first among equals."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: (-(trial.score or 0.0), trial.trial))


def read_study(folder: Path) -> StudyRecord | None:
    """Study in a folder, if there is one.

    Raises:
        ParameterError: the file is damaged, or of another version.
    """
    path = folder / STUDY
    try:
        data = read_bytes(path)
        parse_json(data)  # which says no to what JSON does not have, also where anything may be
        return parse_record(StudyRecord, data)
    except FileNotFoundError:
        return None
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ParameterError(
            f"{path}: cannot be read as a sweep ({reason}); bring it back with git, "
            f"or remove {folder} to start anew"
        ) from None


def write_study(folder: Path, record: StudyRecord) -> None:
    """Writes both files, each all or none."""
    write_text(folder / STUDY, readable_json(record.model_dump(mode="json")))
    write_text(folder / TRIALS, _table(record.trials))


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """Paths at which two trees of plain data differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return [
            difference
            for key in [*before, *(key for key in now if key not in before)]
            for difference in differences(
                before.get(key), now.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    return [] if before == now else [path]


def _table(trials: Sequence[TrialRecord]) -> str:
    paths = list(trials[0].values) if trials else []
    columns = ["trial", "state", "score", "best_epoch", "epochs", "parameters", *paths]
    return csv_text(columns, (_row(trial, paths) for trial in trials))


def _row(trial: TrialRecord, paths: Sequence[str]) -> list[Any]:
    best = max(trial.seeds.values(), key=lambda seed: seed.dev_score, default=None)
    return [
        trial.trial,
        trial.state,
        trial.score,
        None if best is None else best.best_epoch,
        sum(seed.epochs for seed in trial.seeds.values()),
        trial.parameters,
        *(_cell(trial.values[path]) for path in paths),
    ]


def _cell(value: Any) -> Any:
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if plain else json.dumps(value)
