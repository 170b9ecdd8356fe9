"""Processes that run trials side by side, each with the features opened once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from pipeline.core.environment import flush_denormals, keep_freed_memory
from pipeline.core.errors import IcehouseError, MachineError
from pipeline.sweeps.trial import RunTrial, ShouldPrune, TrialResult, run_trial
from pipeline.training.data import TrainingData

OpenTrainingData = Callable[[], TrainingData]
"""Opens what a worker learns from, in the worker; it must be possible to pickle it."""


@contextmanager
def workers(
    count: int, row: Mapping[str, Any], data: OpenTrainingData, *, threads: int
) -> Iterator[list[RunTrial]]:
    """Yields a way to run a trial per process; ends the processes with the block.

    A worker whose parent is killed ends by itself when it next tells it of an epoch.

    Args:
        count: processes.
        row: the head's row.
        data: what they learn from.
        threads: CPU threads of each.
    """
    context = multiprocessing.get_context("spawn")
    processes, pipes = [], []
    resource_tracker.ensure_running()  # started later, it would let Ctrl-C through again
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, dict(row), data, threads), daemon=True
            )
            with _unheard(signal.SIGINT):
                process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        yield [_runner(pipe) for pipe in pipes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        for pipe in pipes:
            pipe.close()


@contextmanager
def _unheard(number: int) -> Iterator[None]:
    """Holds a signal back while the block runs, and for ever in processes that it starts.

    Ctrl-C is for the parent, which ends them; and a terminal sends it to all of them at once, also
    to one that is still importing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _runner(pipe: Connection) -> RunTrial:
    def run(values: Mapping[str, Any], should_prune: ShouldPrune) -> TrialResult:
        try:
            pipe.send(dict(values))
            while True:
                answer = pipe.recv()
                if isinstance(answer, TrialResult):
                    return answer
                if isinstance(answer, IcehouseError):
                    raise answer
                pipe.send(should_prune(*answer))
        except (EOFError, OSError):
            raise MachineError(
                "a process that ran a trial has ended; is memory short? Use fewer --jobs"
            ) from None

    return run


def _serve(pipe: Connection, row: dict[str, Any], data: OpenTrainingData, threads: int) -> None:
    """Runs the trials that it is sent; tells each epoch, and is told whether to give up."""
    import torch

    flush_denormals()
    keep_freed_memory()
    torch.set_num_threads(threads)

    def should_prune(epoch: int, best: float) -> bool:
        pipe.send((epoch, best))
        return bool(pipe.recv())

    opened: TrainingData | None = None
    try:
        while True:
            values = pipe.recv()
            try:
                opened = opened or data()
                pipe.send(run_trial(row, opened, values, should_prune))
            except IcehouseError as error:
                pipe.send(error)
    except (EOFError, OSError):
        os._exit(0)  # the parent is gone, and with it whoever could be told
