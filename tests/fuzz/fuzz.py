"""Fuzzes readers for minutes, each in a process of its own: ``make fuzz MINUTES=10 READER=conll``.

Prints executions, executions per second, findings, and the coverage of the reader's modules.
Findings are written as cases below ``--found``; a case that is mended belongs into ``cases/``.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
for place in (HERE.parent, HERE):
    sys.path.insert(0, str(place))

import conftest  # noqa: E402, F401  (sets the environment of tests)
from execution import ROOT, SECONDS, Case, Finding, Guard, Workspace  # noqa: E402
from readers import Reader, draw_case, kept_cases, readers, run_case  # noqa: E402
from world import build  # noqa: E402

GRACE = 10
"""Seconds after which a process that runs C code for ever is ended from outside."""


def main() -> None:
    """Runs readers one after another, or several at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="for each reader")
    parser.add_argument("--reader", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--coverage-seconds", type=float, default=30)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--world", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments)
        return
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
        world = build(Path(folder) / "world")
        names = arguments.reader or list(readers(world))
        found = 0
        with ThreadPoolExecutor(arguments.jobs) as pool:
            for report in pool.map(lambda name: _fuzz(name, Path(folder), world, arguments), names):
                print(report["line"], flush=True)
                found += len(report["findings"])
    sys.exit(1 if found else 0)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def _fuzz(name: str, folder: Path, world: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs one reader in child processes; one that dies or hangs is a finding, and is replaced."""
    end = time.monotonic() + 60 * arguments.minutes
    findings: dict[str, str] = {}
    executions = accepted = 0
    seconds = 0.0
    seed = arguments.seed
    while (left := end - time.monotonic()) > 1:
        state = folder / f"{name}-{seed}"
        state.mkdir()
        _run_child(name, state, world, seed, left, arguments, coverage=False)
        executions += _number(state / "executions")
        accepted += _number(state / "accepted")
        seconds += _number(state / "seconds")
        findings.update(_collect(state, arguments.found / name))
        shutil.rmtree(state)
        seed += 1
    percent = "coverage not measured"
    if arguments.coverage_seconds:
        state = folder / f"{name}-coverage"
        state.mkdir()
        limit = arguments.coverage_seconds
        _run_child(name, state, world, arguments.seed, limit, arguments, coverage=True)
        if (state / "coverage").exists():
            percent = _covered(readers(world)[name], state / "coverage")
        findings.update(_collect(state, arguments.found / name))
    rate = executions / seconds if seconds else 0
    line = (
        f"{name}: {seconds:.0f} s, {executions:.0f} executions, {rate:.1f}/s, "
        f"{accepted:.0f} accepted, {percent}, {len(findings)} findings (seed {arguments.seed})"
    )
    for signature, file in sorted(findings.items()):
        line += f"\n    {signature}  [{file}]"
    return {"line": line, "findings": findings}


def _run_child(
    name: str,
    state: Path,
    world: Path,
    seed: int,
    seconds: float,
    arguments: argparse.Namespace,
    *,
    coverage: bool,
) -> None:
    command = [sys.executable]
    if coverage:
        command += ["-m", "coverage", "run", "--branch", f"--data-file={state / 'coverage'}"]
        command += ["--rcfile=", f"--include={ROOT}/*"]
    command += [str(HERE / "fuzz.py"), "--child", str(state), "--world", str(world)]
    command += ["--reader", name, "--seed", str(seed), "--minutes", str(seconds / 60)]
    with (state / "log").open("wb") as log:
        child = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **_homes(state / "work")},
        )
        end = time.monotonic() + seconds + 60
        while child.poll() is None:
            time.sleep(0.5)
            stuck = time.time() - _last_beat(state) > SECONDS + GRACE
            if stuck or time.monotonic() > end + 60:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                text = (state / "log").read_text(encoding="utf-8", errors="replace")[-3000:]
                _note(state, Finding("hang in C", text))
                return
    if child.returncode != 0:
        text = (state / "log").read_text(encoding="utf-8", errors="replace")[-3000:]
        _note(state, Finding(f"process ended with {child.returncode}", text))


def _last_beat(state: Path) -> float:
    """The moment at which the last case began; in the future as long as none has."""
    with suppress(FileNotFoundError):
        return (state / "case").stat().st_mtime
    with suppress(FileNotFoundError):
        return (state / "executions").stat().st_mtime + 60
    return math.inf


def _homes(folder: Path) -> dict[str, str]:
    """Where libraries keep what they have of a user: among the files of the run."""
    names = ("HOME", "HF_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR")
    return dict.fromkeys(names, str(folder / "home"))


def _note(state: Path, finding: Finding) -> None:
    """Keeps the case that was running when the process ended."""
    if not (state / "case").exists():  # a library that makes cases, h5py say
        print(f"{state.name}: {finding.signature} while a case was made", flush=True)
        print((state / "log").read_text(encoding="utf-8", errors="replace")[-3000:], flush=True)
        if not _number(state / "executions"):
            raise SystemExit(f"{state.name}: no case was run")
        return
    case = Case.from_json((state / "case").read_text(encoding="utf-8"))
    _keep(state, case, finding)


def _keep(state: Path, case: Case, finding: Finding) -> None:
    folder = state / "found"
    folder.mkdir(exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in finding.signature)[:80]
    (folder / f"{name}.json").write_text(case.to_json(finding.signature), encoding="utf-8")
    (folder / f"{name}.txt").write_text(finding.detail, encoding="utf-8", errors="backslashreplace")


def _collect(state: Path, target: Path) -> Iterator[tuple[str, str]]:
    for file in sorted((state / "found").glob("*")):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        if file.suffix == ".json":
            signature = json.loads(file.read_text(encoding="utf-8"))["found"]
            yield signature, str(target / file.name)


def _number(path: Path) -> float:
    with suppress(FileNotFoundError, ValueError):
        return float(path.read_text(encoding="ascii"))
    return 0


def _child(arguments: argparse.Namespace) -> None:
    state: Path = arguments.child
    faulthandler.enable()
    (name,) = arguments.reader
    reader = readers(arguments.world)[name]
    tempfile.tempdir = str(state / "work" / "tmp")
    Path(tempfile.tempdir).mkdir(parents=True)
    workspace = Workspace(state / "work", arguments.world, reader.needs)
    os.chdir(workspace.live)
    os.environ.pop("FEATURE_STORE", None)
    _warm_up(reader, workspace)
    _loop(reader, workspace, state, arguments.seed, 60 * arguments.minutes)


def _warm_up(reader: Reader, workspace: Workspace) -> None:
    """Runs each choice on right files twice: it must accept them.

    What it does the first time, such as imports, is not looked at.
    """
    guard = Guard()
    for name in reader.choices:
        run_case(reader, workspace, Case(reader.name, name, {}), guard)
        outcome = run_case(reader, workspace, Case(reader.name, name, {}), guard)
        if not outcome.accepted or outcome.finding:
            raise AssertionError(f"{reader.name}, {name}: right files: {outcome}")


def _loop(reader: Reader, workspace: Workspace, state: Path, seed: int, seconds: float) -> None:
    import warnings

    warnings.simplefilter("error")
    guard = Guard()
    start = time.monotonic()
    executions = accepted = 0
    known: set[str] = set()
    seeds = list(kept_cases(reader.name).values())
    while time.monotonic() - start < seconds:
        random = Random(f"{seed} {executions}")  # noqa: S311
        (state / "case").unlink(missing_ok=True)
        case = draw_case(reader, workspace, random, seeds)
        (state / "case").write_text(case.to_json(""), encoding="utf-8")
        faulthandler.dump_traceback_later(SECONDS + GRACE / 2)  # where no signal is answered
        outcome = run_case(reader, workspace, case, guard)
        faulthandler.cancel_dump_traceback_later()
        executions += 1
        accepted += outcome.accepted
        finding = outcome.finding
        if (
            finding
            and finding.signature not in known
            and _again(reader, workspace, case, guard, finding.signature)
        ):
            known.add(finding.signature)
            case = reduced(reader, workspace, case, guard, finding.signature, state)
            _keep(state, case, finding)
        if executions % 50 == 1 or outcome.finding:
            for what, value in (
                ("executions", executions),
                ("accepted", accepted),
                ("seconds", time.monotonic() - start),
            ):
                (state / what).write_text(str(value), encoding="ascii")
    (state / "executions").write_text(str(executions), encoding="ascii")
    (state / "seconds").write_text(str(time.monotonic() - start), encoding="ascii")


def _again(reader: Reader, workspace: Workspace, case: Case, guard: Guard, signature: str) -> bool:
    """Whether a finding comes again: on a busy machine, others open files, and time passes."""
    finding = run_case(reader, workspace, case, guard).finding
    return finding is not None and finding.signature == signature


def reduced(
    reader: Reader,
    workspace: Workspace,
    case: Case,
    guard: Guard,
    signature: str,
    state: Path,
) -> Case:
    """A case with as few changes as have the same finding."""
    end = time.monotonic() + 2 * SECONDS
    for path in list(case.changes):
        rest = {name: change for name, change in case.changes.items() if name != path}
        smaller = Case(case.reader, case.choice, rest)
        if time.monotonic() < end:
            (state / "case").write_text(smaller.to_json(""), encoding="utf-8")
            if _again(reader, workspace, smaller, guard, signature):
                case = smaller
    return case


def _covered(reader: Reader, data: Path) -> str:
    """Share of the lines and branches of a reader's modules that were run."""
    import coverage

    measured = coverage.Coverage(branch=True, data_file=str(data), config_file=False)
    measured.load()
    modules = [str(ROOT / module) for module in reader.modules]
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        percent = measured.report(include=modules, file=nothing)
    return f"{percent:.0f} % of lines and branches of its modules"


if __name__ == "__main__":
    main()
