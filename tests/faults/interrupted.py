"""Stages that are cut short: run in processes of their own, which start in a moment.

A fork server imports torch and transformers once; every stage is then a fork of it.
``begin`` starts any command, ``run`` waits for its end; ``Fault``s are what happens to it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import selectors
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

from click.testing import CliRunner

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "pipeline.encoder.forward",
        "transformers.models.bert.modeling_bert",
        "transformers.models.auto",
        "pipeline.encoder.tokenise",
        "dvc.config",
        "stages.encoder",
        "stages.evaluate",
        "stages.extract",
        "stages.layers",
        "stages.predict",
        "stages.prepare",
        "stages.probe",
        "stages.report",
        "stages.store",
        "stages.sweep",
        "stages.train",
        "pipeline.layer_study.study",
        "pipeline.prediction.predict",
        "pipeline.sweeps.fingerprint",
        "pipeline.sweeps.study",
        "pipeline.sweeps.workers",
    ]
)

Fault = Callable[[], object]
"""What is done in a stage's process before it begins; it goes there pickled."""

LONGEST = 120.0
"""Seconds after which a process that should have ended or said something is given up."""


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    def error(self) -> str:
        """The one line of a problem that the user can act on; fails if it is anything else."""
        said = f"exit code {self.code}\n{self.stdout[-2000:]}\n{self.stderr[-4000:]}"
        assert self.code == 2, said
        assert "Traceback" not in self.stderr, said
        lines = self.stderr.splitlines()
        assert [line[:7] for line in lines] == ["error: "], said
        return lines[0]

    def well(self) -> Ended:
        """Itself, if it has ended well."""
        said = f"exit code {self.code}\n{self.stdout[-2000:]}\n{self.stderr[-4000:]}"
        assert self.code == 0, said
        return self


class Running:
    """A stage in a process of its own, and what it prints."""

    def __init__(self, process: BaseProcess, stdout: Connection, stderr: Connection) -> None:
        self.process = process
        self._pipes = {stdout: b"", stderr: b""}
        self._stdout, self._stderr = stdout, stderr
        self._open = selectors.DefaultSelector()
        for pipe in self._pipes:
            self._open.register(pipe, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    def says(self, text: str) -> None:
        """Waits until it has printed a text, on either stream."""
        limit = time.monotonic() + LONGEST
        while not any(text in printed.decode() for printed in self._pipes.values()):
            assert self._open.get_map(), f"it has ended, and never said {text!r}: {self._pipes}"
            assert time.monotonic() < limit, f"it never said {text!r}: {self._pipes}"
            self._read()

    def reaches(self, pause: PauseAt) -> None:
        """Waits until it is at a moment at which it waits itself."""
        limit = time.monotonic() + LONGEST
        while not pause.reached(0.1):
            assert self.process.is_alive(), f"{pause.function} was not called: {self.end()}"
            assert time.monotonic() < limit, f"{pause.function} was not called: {self._pipes}"

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Waits for its end."""
        limit = time.monotonic() + LONGEST
        while self._open.get_map():
            if time.monotonic() > limit:
                self.process.kill()
                raise AssertionError(f"it does not end: {self._pipes}")
            self._read()
        self.process.join()
        assert self.process.exitcode is not None
        return Ended(
            self.process.exitcode,
            self._pipes[self._stdout].decode(),
            self._pipes[self._stderr].decode(),
        )

    def _read(self) -> None:
        for key, _ in self._open.select(1):
            pipe = key.fileobj
            assert isinstance(pipe, Connection)
            if data := os.read(pipe.fileno(), 1 << 16):
                self._pipes[pipe] += data
            else:
                self._open.unregister(pipe)
                pipe.close()


def begin(
    folder: Path,
    stage: str,
    *arguments: str,
    faults: Sequence[Fault] = (),
    environment: Mapping[str, str] | None = None,
    stdout: Path | None = None,
) -> Running:
    """Starts ``python -m stages.<stage>`` in a folder.

    Args:
        folder: where it runs; the store is ``.features`` there unless the environment says
            otherwise.
        stage: name of the module.
        arguments: of the command.
        faults: what happens to the process, in this order.
        environment: variables that it has besides ours.
        stdout: the file that standard output goes to; by default it is kept.
    """
    readers, writers = zip(*(_CONTEXT.Pipe(duplex=False) for _ in range(2)), strict=True)
    variables = {"FEATURE_STORE": str(folder / ".features"), **(environment or {})}
    process = _CONTEXT.Process(
        target=_command, args=(folder, stage, arguments, faults, variables, stdout, *writers)
    )
    process.start()
    for writer in writers:
        writer.close()
    return Running(process, *readers)


def run(folder: Path, stage: str, *arguments: str, **options: Any) -> Ended:
    """Runs ``python -m stages.<stage>`` to its end; see ``begin``."""
    return begin(folder, stage, *arguments, **options).end()


def _command(
    folder: Path,
    stage: str,
    arguments: Sequence[str],
    faults: Sequence[Fault],
    environment: Mapping[str, str],
    file: Path | None,
    stdout: Connection,
    stderr: Connection,
) -> None:
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    stdout.close()
    stderr.close()
    os.chdir(folder)
    os.environ.update(environment)
    main = importlib.import_module(f"stages.{stage}").main
    for fault in faults:
        fault()
    if file is not None:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, 1)
        os.close(descriptor)
    main(list(arguments), prog_name=f"python -m stages.{stage}")


@dataclass(frozen=True)
class FileLimit:
    """Files that grow no larger than so many bytes, as on a disk that is full."""

    size: int

    def __call__(self) -> None:
        """Sets the limit, which is not for pipes."""
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, most))


class PauseAt:
    """A moment at which the process says that it is there, and waits.

    Pipes, and no event: a process that is killed leaves an event that nobody can set again.
    """

    def __init__(self, function: str, call: int = 1) -> None:
        """Takes the dotted name of a function, and at which of its calls to wait, from 1."""
        self.function = function
        self._call = call
        self._reached, self._reach = _CONTEXT.Pipe(duplex=False)
        self._released, self._release = _CONTEXT.Pipe(duplex=False)

    def reached(self, seconds: float) -> bool:
        """Whether the process is there, or comes there in so many seconds."""
        return self._reached.poll(seconds)

    def release(self) -> None:
        """Lets the process go on."""
        self._release.send_bytes(b".")

    def __call__(self) -> None:
        """Puts a function that waits in the place of the function."""
        owner, name = self._owner()
        original = getattr(owner, name)
        calls = iter(range(1, sys.maxsize))

        def waiting(*arguments: Any, **options: Any) -> Any:
            if next(calls) == self._call:
                self._reach.send_bytes(b".")
                assert self._released.poll(LONGEST)
            return original(*arguments, **options)

        setattr(owner, name, waiting)

    def _owner(self) -> tuple[Any, str]:
        *path, name = self.function.split(".")
        for length in range(len(path), 0, -1):
            try:
                owner = importlib.import_module(".".join(path[:length]))
            except ModuleNotFoundError:
                continue
            for attribute in path[length:]:
                owner = getattr(owner, attribute)
            return owner, name
        raise ModuleNotFoundError(self.function)


def start(
    project: Path, encoder: Path, *, file_limit: int | None = None, writers: int = 2
) -> BaseProcess:
    """Starts the extraction of the prepared corpus in ``project`` into ``project/features``.

    Args:
        project: from ``pipelines.prepared``; what is printed goes into ``project/output``.
        encoder: a materialised encoder.
        file_limit: bytes that a file may have, as on a disk that is full.
        writers: threads that write.
    """
    process = _CONTEXT.Process(target=_extract, args=(project, encoder, file_limit, writers))
    process.start()
    return process


def _extract(project: Path, encoder: Path, file_limit: int | None, writers: int) -> None:
    from pipeline.extraction import compute
    from stages.extract import main

    os.chdir(project)
    (project / ".dvc").mkdir(exist_ok=True)
    (project / "params.yaml").write_text(
        "features:\n"
        "  features: {corpus: c, encoder: e, layers: [1, 2, -1], max_length: 48,\n"
        "             long_texts: truncate, storage_dtype: float32, shard_tokens: 256}\n",
        encoding="utf-8",
    )
    arguments = ["features", "--texts", "texts", "--encoder", str(encoder)]
    arguments += ["--out", "features", "--report", "report.json"]
    # Shards of a small corpus would all be written at once, after the last row is encoded.
    compute._BLOCK_TOKENS, compute._BLOCK_PACKS = 512, 0
    compute._writers = lambda: writers
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most if file_limit is None else file_limit, most))
    result = CliRunner().invoke(main, arguments)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    (project / "output").write_text(result.stderr, encoding="utf-8")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    sys.exit(result.exit_code)


MOMENTS = ("epoch", "weights", "description", "predictions", "model", "history", "scores")
"""When a training can be killed: after an epoch, or with so much written."""


def start_training(project: Path, *, moment: str | None = None) -> BaseProcess:
    """Starts the training of a head on the features in ``project`` into ``project/model``.

    Args:
        project: prepared and extracted, with a ``params.yaml`` that has a head ``h``.
        moment: one of ``MOMENTS``, at which the process kills itself; ``None`` lets it end.
    """
    process = _CONTEXT.Process(target=_train, args=(project, moment))
    process.start()
    return process


def _train(project: Path, moment: str | None) -> None:
    from pipeline.training import save
    from stages import train

    os.chdir(project)
    if moment == "epoch":
        _replace(train.click, "echo", _die)
    elif moment == "weights":
        _replace("pipeline.heads.checkpoint", "readable_json", _die)
    elif moment == "description":
        _replace(save, "save_head", _then_die(save.save_head))
    elif moment == "predictions":
        _replace(save, "canonical_json", _die)
    elif moment is not None:
        done = MOMENTS.index(moment) - MOMENTS.index("model")
        written = iter(range(done))
        original = train.write_text

        def write(*arguments: Any) -> None:
            if next(written, None) is None:
                _die()
            original(*arguments)

        _replace(train, "write_text", write)
    outputs = [("--out", "model"), ("--history", "history.csv"), ("--scores", "scores.csv")]
    arguments = ["h", "--labels", "labels", "--features", "features", "--layers", "layers.csv"]
    arguments += [part for output in outputs for part in output]
    result = CliRunner().invoke(train.main, arguments, catch_exceptions=False)
    sys.exit(result.exit_code)


def _die(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it lives")


def _then_die(function: Callable[..., Any]) -> Callable[..., NoReturn]:
    def run(*arguments: Any) -> NoReturn:
        function(*arguments)
        _die()

    return run


def _replace(module: Any, name: str, value: Any) -> None:
    setattr(sys.modules[module] if isinstance(module, str) else module, name, value)
