"""Runs trials until there are enough, one after another or in several lanes at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from pipeline.sweeps.results import TrialRecord
from pipeline.sweeps.study import Proposal, Study
from pipeline.sweeps.trial import RunTrial

_POLL_SECONDS = 0.2


class Board(Protocol):
    """Told what happens, as it happens; calls come one at a time."""

    def began(self, number: int, values: dict[str, Any]) -> object:
        """A trial has begun."""
        ...

    def epoch(self, number: int, epoch: int, best: float) -> object:
        """A trial's best dev score after an epoch of its first seed."""
        ...

    def ended(self, record: TrialRecord) -> object:
        """A trial has ended."""
        ...


def sweep(study: Study, lanes: Sequence[RunTrial], *, most: int, board: Board) -> None:
    """Runs trials until ``most`` have ended.

    Args:
        study: proposes them, and keeps what came of them.
        lanes: each runs one trial at a time; a single one does so in this thread.
        most: how many, those of earlier calls included.
        board: shows them.
    """
    lock = threading.Lock()
    if len(lanes) == 1:
        _lane(study, lanes[0], most, board, lock)
        return
    problems: list[BaseException] = []

    def guarded(run: RunTrial) -> None:
        try:
            _lane(study, run, most, board, lock)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=guarded, args=(run,), daemon=True) for run in lanes]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not problems:
        for thread in threads:  # in short waits, so that Ctrl-C is heard
            thread.join(_POLL_SECONDS)
    if problems:
        raise problems[0]


def _lane(study: Study, run: RunTrial, most: int, board: Board, lock: threading.Lock) -> None:
    while True:
        with lock:
            proposal = study.propose(most)
            if proposal is None:
                return
            board.began(proposal.number, proposal.values)

        def gives_up(epoch: int, best: float, proposal: Proposal = proposal) -> bool:
            with lock:
                board.epoch(proposal.number, epoch, best)
                return proposal.gives_up(epoch, best)

        result = run(proposal.values, gives_up)
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
            board.ended(record)
