"""Stages that are cut short: run in processes of their own, which start in a moment.

A fork server imports torch and transformers once; every stage is then a fork of it.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
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
        "stages.extract",
        "stages.train",
    ]
)


def start(project: Path, encoder: Path, *, file_limit: int | None = None) -> BaseProcess:
    """Starts the extraction of the prepared corpus in ``project`` into ``project/features``.

    Args:
        project: from ``pipelines.prepared``; what is printed goes into ``project/output``.
        encoder: a materialised encoder.
        file_limit: bytes that a file may have, as on a disk that is full.
    """
    process = _CONTEXT.Process(target=_extract, args=(project, encoder, file_limit))
    process.start()
    return process


def _extract(project: Path, encoder: Path, file_limit: int | None) -> None:
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
    compute._BLOCK_TOKENS = 512
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
