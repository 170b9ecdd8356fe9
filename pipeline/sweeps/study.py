"""A sweep's trials in Optuna: what is tried next, when to give up, what is known.

Each trial's sampler starts from the sweep's seed and the trial's number: one job at a time, what is
tried follows from the settings alone, however often the sweep was killed in between. A trial that
was killed is tried again under its own number.

``study.json`` is what counts. Optuna's journal beside it, which git does not track, holds what a
running trial has reported; where the journal is absent, or older, it is written anew from the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from pipeline.core.errors import ParameterError
from pipeline.core.reading import parse_record, read_bytes
from pipeline.sweeps.fingerprint import require_same_fingerprint
from pipeline.sweeps.results import STUDY, StudyRecord, TrialRecord, read_study, write_study
from pipeline.sweeps.settings import PrunerSettings, SweepSettings
from pipeline.sweeps.space import Values, decoded, distributions, encoded

JOURNAL = "optuna.journal"
_RECORD = "record"
_MOST_BYTES = 1 << 30
"""Bytes of a journal."""

_DAMAGED = (
    *(AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
    optuna.exceptions.OptunaError,
)
"""What Optuna raises on a journal that is not its own; it does not say."""

_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Proposal:
    """A trial to run: its number and its settings by path."""

    def __init__(self, number: int, values: Values, trial: optuna.Trial) -> None:
        self.number = number
        self.values = values
        self.drawn: dict[str, Any] = dict(trial.params)
        self._trial = trial

    def should_prune(self, epoch: int, best: float) -> bool:
        """Whether the trial is to end here, from the best dev score so far after an epoch."""
        self._trial.report(best, epoch)
        return self._trial.should_prune()

    def end(self, study: optuna.Study, record: TrialRecord) -> None:
        """Tells Optuna what came of it."""
        self._trial.set_user_attr(_RECORD, record.model_dump(mode="json"))
        value = record.score if record.state == "complete" else None
        study.tell(self._trial, value, state=_STATES[record.state])


class Study:
    """A sweep of which some trials have ended.

    Args:
        folder: where it is kept, ``studies/<name>``; nothing else may be writing there.
        settings: the search.
        basis: what trials must share to be compared.
        start: the head's own settings by path of the space: the first trial, if in the space.

    Raises:
        ParameterError: the folder holds a sweep of another basis.
    """

    def __init__(
        self, folder: Path, settings: SweepSettings, *, basis: Mapping[str, Any], start: Values
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._folder = folder
        self._settings = settings
        self._start = encoded(settings.space, start)
        self._distributions = distributions(settings.space)
        self._running: dict[int, Proposal] = {}
        kept = read_study(folder)
        if kept is not None:
            require_same_fingerprint(folder, kept.basis, basis)
        self._record = StudyRecord(basis=dict(basis), trials=kept.trials if kept else [])
        self._study = self._open(known=kept is not None)
        write_study(folder, self._record)

    @property
    def trials(self) -> list[TrialRecord]:
        """The trials that have ended, by number."""
        return list(self._record.trials)

    def propose(self, most: int) -> Proposal | None:
        """The next trial, unless ``most`` have ended or are running."""
        taken = {trial.trial for trial in self._record.trials} | set(self._running)
        if len(taken) >= most:
            return None
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        self._study.sampler = self._sampler(number)
        if number == 0 and self._start is not None:
            self._study.enqueue_trial(self._start)
        trial = self._study.ask(self._distributions)
        values = decoded(self._settings.space, trial.params)
        self._running[number] = Proposal(number, values, trial)
        return self._running[number]

    def end(self, proposal: Proposal, record: TrialRecord) -> None:
        """Takes what came of a trial, and writes it down."""
        proposal.end(self._study, record)
        del self._running[proposal.number]
        self._keep([*self._record.trials, record])
        write_study(self._folder, self._record)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self._settings.seed, number]).generate_state(1)[0])
        if self._settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed)

    def _open(self, *, known: bool) -> optuna.Study:
        """The study in the journal, with the trials of ``study.json`` and perhaps a last one."""
        path = self._folder / JOURNAL
        self._folder.mkdir(parents=True, exist_ok=True)
        # Whoever held Optuna's lock was killed: nobody else is here.
        for lock in self._folder.glob(f"{JOURNAL}.lock*"):
            lock.unlink(missing_ok=True)
        if known and path.exists():
            study = self._load(path)
            if study is not None and self._takes_over(study):
                return study
        path.unlink(missing_ok=True)
        study = self._load(path)
        if study is None:
            raise RuntimeError("a new journal cannot be read")
        for record in self._record.trials:
            try:
                study.add_trial(self._frozen(record))
            except (ValueError, TypeError):  # what Optuna says where it cannot have drawn that
                raise ParameterError(
                    f"{self._folder / STUDY}: trial {record.trial} has other settings than the "
                    f"sweep's space; bring it back with git, or remove {self._folder} to start anew"
                ) from None
        return study

    def _load(self, path: Path) -> optuna.Study | None:
        """The study of a journal; ``None`` if something else than a kill has damaged it."""
        try:
            _cut_half_a_line(path)
            return optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name="sweep",
                direction="maximize",
                pruner=_pruner(self._settings.pruner),
                load_if_exists=True,
            )
        except _DAMAGED:
            return None

    def _takes_over(self, study: optuna.Study) -> bool:
        """Whether the journal knows all that the file does, and nothing that has not ended."""
        found: dict[int, TrialRecord] = {}
        for trial in study.get_trials(deepcopy=False):
            if _RECORD in trial.user_attrs:  # it had ended, if not always been told so
                record = _record(trial.user_attrs[_RECORD])
                if record is None:
                    return False
                found[record.trial] = record
        if any(found.get(record.trial) != record for record in self._record.trials):
            return False
        self._keep(found.values())
        # What was running when it was killed is run again, and must not compete with itself.
        unfinished = (TrialState.RUNNING, TrialState.WAITING)
        return not study.get_trials(deepcopy=False, states=unfinished)

    def _keep(self, trials: Iterable[TrialRecord]) -> None:
        known = sorted(trials, key=lambda trial: trial.trial)
        self._record = self._record.model_copy(update={"trials": known})

    def _frozen(self, record: TrialRecord) -> optuna.trial.FrozenTrial:
        best_so_far = np.maximum.accumulate(record.curve).tolist() if record.curve else []
        return optuna.trial.create_trial(
            state=_STATES[record.state],
            value=record.score if record.state != "failed" else None,
            params=record.drawn,
            distributions=self._distributions,
            user_attrs={_RECORD: record.model_dump(mode="json")},
            intermediate_values=dict(enumerate(best_so_far, 1)),
            system_attrs=_rungs(self._settings.pruner, best_so_far),
        )


def _pruner(settings: PrunerSettings | None) -> optuna.pruners.BasePruner:
    if settings is None:
        return optuna.pruners.NopPruner()
    if settings.kind == "median":
        return optuna.pruners.MedianPruner(
            n_startup_trials=settings.startup_trials or 1,
            n_warmup_steps=settings.warmup_epochs or 1,
        )
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=settings.first_epoch or 1, reduction_factor=settings.factor or 2
    )


def _rungs(settings: PrunerSettings | None, best_so_far: list[float]) -> dict[str, float]:
    """Rungs that ``SuccessiveHalvingPruner`` notes of a trial, and compares later ones with."""
    rungs: dict[str, float] = {}
    if settings is not None and settings.kind == "halving":
        epoch = settings.first_epoch or 1
        while epoch <= len(best_so_far):
            rungs[f"completed_rung_{len(rungs)}"] = best_so_far[epoch - 1]
            epoch *= settings.factor or 2
    return rungs


def _record(value: Any) -> TrialRecord | None:
    """The trial that a journal holds; ``None`` where it is damaged, and so is as if never run."""
    try:
        return parse_record(TrialRecord, json.dumps(value))
    except (TypeError, ValueError):
        return None


def _cut_half_a_line(path: Path) -> None:
    """Removes what a killed process left of a line at a journal's end."""
    try:
        content = read_bytes(path, limit=_MOST_BYTES)
    except FileNotFoundError:
        return
    if content and not content.endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)
