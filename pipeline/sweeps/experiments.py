"""Trials as experiments of DVC: run by it, so that it knows all that it knows of any other."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.core.errors import TrainingError
from pipeline.sweeps.results import TrialRecord

logger = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def record_trials(sweep: str, head: str, trials: Sequence[TrialRecord]) -> None:
    """Runs ``dvc exp run`` for each trial, in a folder of its own beside the workspace.

    Args:
        sweep: its name; experiments are named ``<sweep>-<trial>``.
        head: the row of ``heads``.
        trials: to record; one that is there already is left alone.

    Raises:
        TrainingError: DVC cannot run one; its own last line says why.
    """
    there = set(_dvc("exp", "list", "--name-only").split())
    for trial in trials:
        name = f"{sweep}-{trial.trial}"
        if name in there:
            logger.info("%s: is there already; `dvc exp remove %s` to record it anew", name, name)
            continue
        logger.info("%s: dev score %.4f", name, trial.kept_score)
        _dvc(
            *("exp", "run", "--temp", "--name", name),
            *overrides(head, trial),
            f"evaluate@{head}",
            threads=trial.threads,
        )


def overrides(head: str, trial: TrialRecord) -> list[str]:
    """The arguments of ``dvc exp run`` that give a head the settings of a trial."""
    return [
        argument
        for path, value in trial.values.items()
        # ++ also adds what is not written in the row.
        for argument in ("--set-param", f"++heads.{head}.{path}={_written(value)}")
    ]


def _written(value: Any) -> str:
    """A value in the grammar of Hydra, which DVC reads overrides by."""
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_written(held)}' for key, held in value.items())}}}"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        quoted = value.replace("'", "\\'")  # no setting that is searched holds a backslash
        return f"'{quoted}'"
    return value if isinstance(value, str) else json.dumps(value)


def _dvc(*arguments: str, threads: int = 0) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path}
    if threads:
        environment["ICEHOUSE_THREADS"] = str(threads)
    done = subprocess.run(  # noqa: S603  (our own interpreter, and no shell)
        [sys.executable, "-m", "dvc", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[0] if lines else f"exit code {done.returncode}"
        raise TrainingError(f"dvc {' '.join(arguments[:2])}: {reason}")
    return done.stdout
