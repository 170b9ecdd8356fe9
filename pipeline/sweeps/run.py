"""Runs trials until there are enough, one after another or in several workers at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from pipeline.sweeps.results import TrialRecord
from pipeline.sweeps.study import Proposal, Study
from pipeline.sweeps.trial import RunTrial

_POLL_SECONDS = 0.2


class Reporter(Protocol):
    """Progress callbacks of a sweep; calls come one at a time."""

    def began(self, number: int, values: dict[str, Any]) -> object:
        """A trial has begun."""
        ...

    def epoch(self, number: int, epoch: int, best: float) -> object:
        """A trial's best dev score after an epoch of its first seed."""
        ...

    def ended(self, record: TrialRecord) -> object:
        """A trial has ended."""
        ...


def sweep(study: Study, workers: Sequence[RunTrial], *, most: int, reporter: Reporter) -> None:
    """Runs trials until ``most`` have ended.

    Args:
        study: proposes them, and keeps what came of them.
        workers: each runs one trial at a time; a single one does so in this thread.
        most: how many, those of earlier calls included.
        reporter: shows them.
    """
    lock = threading.Lock()
    if len(workers) == 1:
        _run_worker(study, workers[0], most, reporter, lock)
        return
    problems: list[BaseException] = []

    def guarded(run: RunTrial) -> None:
        try:
            _run_worker(study, run, most, reporter, lock)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=guarded, args=(run,), daemon=True) for run in workers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not problems:
        for thread in threads:  # in short waits, so that Ctrl-C is heard
            thread.join(_POLL_SECONDS)
    if problems:
        raise problems[0]


def _run_worker(
    study: Study, run: RunTrial, most: int, reporter: Reporter, lock: threading.Lock
) -> None:
    while True:
        with lock:
            proposal = study.propose(most)
            if proposal is None:
                return
            reporter.began(proposal.number, proposal.values)

        def should_prune(epoch: int, best: float, proposal: Proposal = proposal) -> bool:
            with lock:
                reporter.epoch(proposal.number, epoch, best)
                return proposal.should_prune(epoch, best)

        result = run(proposal.values, should_prune)
        record = TrialRecord(
            trial=proposal.number,
            state=result.state,
            score=result.score,
            values=proposal.values,
            drawn=proposal.drawn,
            seeds=result.seeds,
            curve=result.curve,
            parameters=result.parameters,
            threads=result.threads,
            problem=result.problem,
        )
        with lock:
            study.end(proposal, record)
            reporter.ended(record)
