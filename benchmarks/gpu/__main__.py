"""``python -m benchmarks.gpu``: all steps on this machine's GPU, at most eight minutes.

``--rehearse`` tries the same code at tiny size on the CPU. Run it in the root of the checkout.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu.machine import missing

if TYPE_CHECKING:
    from benchmarks.gpu.inputs import Bench
    from benchmarks.gpu.runner import Progress, Step

DEADLINE = 480.0
_GRACE = 40.0
"""Seconds after the deadline at which a process that hangs in a kernel is ended."""

_STATE = "progress.json"


def main() -> int:
    """Runs the steps; returns the exit code, 2 where nothing can run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU")
    parser.add_argument("--only", default="", metavar="A,B", help="these steps")
    parser.add_argument("--deadline", type=float, default=DEADLINE, metavar="SECONDS")
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if lacking := missing():
        print(f"not installed: {', '.join(lacking)}; see benchmarks/README.md", file=sys.stderr)
        return 2
    if not Path("params.yaml").exists():
        print("params.yaml is not here; run it in the root of the checkout", file=sys.stderr)
        return 2
    import torch

    if not (arguments.rehearse or torch.cuda.is_available()):
        print("torch sees no CUDA GPU; --rehearse tries the code on the CPU", file=sys.stderr)
        return 2
    steps = all_steps()
    if unknown := set(filter(None, arguments.only.split(","))) - {step.name for step in steps}:
        names = ", ".join(step.name for step in steps)
        print(f"no step {', '.join(sorted(unknown))}; known are {names}", file=sys.stderr)
        return 2
    folder = arguments.resume or Path(tempfile.mkdtemp(prefix="icehouse-gpu-"))
    try:
        _run(arguments, steps, folder)  # does not return where a new process takes over
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def all_steps() -> list[Step[Bench]]:
    """The steps, most valuable first, with the seconds that each may take at most."""
    from functools import partial

    from benchmarks.gpu import caching, commands, correctness, heads, speed
    from benchmarks.gpu.machine import machine
    from benchmarks.gpu.runner import Step

    base, small = "bert_base", "minilm"
    return [
        Step("machine", machine, 40),
        Step("equality_minilm", partial(correctness.equality, small), 45),
        Step("equality_bert_base", partial(correctness.equality, base), 60),
        Step("purity_minilm", partial(correctness.purity, small), 45),
        Step("purity_bert_base", partial(correctness.purity, base), 60),
        Step("extraction_bert_base", partial(speed.extraction, base), 75),
        Step("encoding_bert_base", partial(speed.encoding, base), 60),
        Step("busy_bert_base", partial(speed.busyness, base), 45),
        Step("head_equality", heads.equality, 30),
        Step("head_steps", heads.steps, 60),
        Step("cache", caching.cache, 60),
        Step("stages", commands.stages, 90),
        Step("memory", commands.memory, 75),
        Step("extraction_minilm", partial(speed.extraction, small), 60),
        Step("encoding_minilm", partial(speed.encoding, small), 45),
        Step("busy_minilm", partial(speed.busyness, small), 40),
        Step("head_sameness", heads.sameness, 45),
        Step("head_busy", heads.busyness, 60),
    ]


def _run(arguments: argparse.Namespace, steps: list[Step[Bench]], folder: Path) -> None:
    import torch
    import transformers

    from benchmarks.gpu.device import forget, is_alive
    from benchmarks.gpu.inputs import Bench
    from benchmarks.gpu.runner import Progress, Runner
    from pipeline.core.environment import flush_denormals, keep_freed_memory

    flush_denormals()
    keep_freed_memory()
    if arguments.rehearse:
        torch.set_num_threads(1)  # tiny tensors: threads would only wait for each other
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    state = folder / _STATE
    device = torch.device("cpu" if arguments.rehearse else "cuda")
    bench = Bench(device, folder, arguments.rehearse)
    runner = Runner(
        bench,
        Progress.read(state) if state.exists() else Progress(),
        arguments.deadline,
        is_alive=lambda: is_alive(device),
        tidy=lambda: forget(device),
    )
    only = set(filter(None, arguments.only.split(",")))
    faulthandler.dump_traceback_later(max(1.0, runner.remaining) + _GRACE, exit=True)
    ended = runner.run([step for step in steps if not only or step.name in only])
    faulthandler.cancel_dump_traceback_later()
    if not ended:
        _go_on(arguments, runner.progress, state)


def _go_on(arguments: argparse.Namespace, progress: Progress, state: Path) -> None:
    """Replaces this process, in which no kernel runs any more, by one for the steps left."""
    progress.write(state)
    command = [sys.executable, "-m", "benchmarks.gpu", "--resume", str(state.parent)]
    command += ["--deadline", str(arguments.deadline), "--only", arguments.only]
    command += ["--rehearse"] if arguments.rehearse else []
    os.execv(sys.executable, command)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
