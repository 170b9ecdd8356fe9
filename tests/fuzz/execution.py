"""One input run through a reader: files as a case has them, and all that must not happen.

The oracle is that of every command: it accepts, or it ends with exit code 2 and one line that
starts with ``error:``. Whatever else happens is a ``Finding``: another exception, more than 10
seconds or 2 GB, a control code on the terminal, code of the input that is compiled or run, a
process or a connection, and any file that is read or written where nothing is to be.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import stat
import sys
import sysconfig
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.testing import CliRunner

import pipeline

SECONDS = 10
BYTES = 2 << 30
ROOT = Path(str(pipeline.__file__)).resolve().parent.parent
_PROJECT = ("pipeline", "stages", "icehouse")


@dataclass(frozen=True)
class Change:
    """One path of a case: a file with other bytes, or something that is no file.

    Attributes:
        kind: ``file``, ``absent``, ``folder``, ``pipe``, ``link``, or ``sparse``, a large file of
            zeros that takes no room.
        data: bytes of the file, or the target of the link.
    """

    kind: str
    data: bytes = b""


@dataclass(frozen=True)
class Case:
    """An input: what is run, and the files that differ from the right ones, by path."""

    reader: str
    choice: str
    changes: Mapping[str, Change]

    def to_json(self, found: str) -> str:
        """The case as a file of ``cases/``; text stays readable."""
        changes = {path: _written(change) for path, change in sorted(self.changes.items())}
        content = {"reader": self.reader, "choice": self.choice, "found": found, "changes": changes}
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Case:
        """Reads what ``to_json`` wrote."""
        content = json.loads(text)
        changes = {path: _read(change) for path, change in content["changes"].items()}
        return cls(content["reader"], content["choice"], changes)


def _written(change: Change) -> dict[str, str]:
    if len(change.data) < 4000:
        try:
            return {"kind": change.kind, "text": change.data.decode("utf-8")}
        except UnicodeDecodeError:
            pass
    packed = base64.b64encode(zlib.compress(change.data, 9)).decode("ascii")
    return {"kind": change.kind, "zlib": packed}


def _read(change: Mapping[str, str]) -> Change:
    if "text" in change:
        return Change(change["kind"], change["text"].encode("utf-8"))
    return Change(change["kind"], zlib.decompress(base64.b64decode(change["zlib"])))


@dataclass(frozen=True)
class Finding:
    """Something that must not happen.

    Attributes:
        signature: what and where, equal for equal causes.
        detail: all that is known of it.
    """

    signature: str
    detail: str


@dataclass(frozen=True)
class Outcome:
    """What came of one run: accepted, refused, or found."""

    accepted: bool
    finding: Finding | None = None
    told: str = ""


class TooLongError(BaseException):
    """A run that took more than ``SECONDS``; no handler of the code under test catches it."""


State = dict[str, tuple[int, int, int]]


class Workspace:
    """A project's files, as they are right, and a live copy in which cases are run.

    Beside the copy lies ``outside``, which nothing may read or change.
    """

    def __init__(self, root: Path, world: Path, needs: Sequence[str]) -> None:
        self.root = root.resolve()
        self.live, self._right = self.root / "project", self.root / "right"
        for path in needs:
            source, target = world / path, self._right / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
        shutil.copytree(self._right, self.live, symlinks=True)
        self.outside = self.root / "outside"
        self.outside.mkdir()
        write_outside(self.outside)
        self._state = _scan(self.live)
        self._outside_state = _scan(self.outside)
        self._opened = _Opened(self.outside)

    def right(self, path: str) -> bytes:
        """A file's bytes as they are right; none where there is no such file."""
        file = self._right / path
        return file.read_bytes() if file.is_file() else b""

    def files(self, under: str = "") -> list[str]:
        """Paths of the right files at or below one."""
        return sorted(
            path
            for path, (mode, *_) in self._state.items()
            if stat.S_ISREG(mode)
            and (not under or path == under or path.startswith(f"{under.rstrip('/')}/"))
        )

    def apply(self, case: Case) -> State:
        """Puts a case's files in place."""
        for path, change in case.changes.items():
            place = self.live / path
            _remove(place)
            if change.kind == "absent":
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if change.kind == "folder":
                place.mkdir()
            elif change.kind == "pipe":
                os.mkfifo(place)
            elif change.kind == "link":
                place.symlink_to(os.fsdecode(change.data))
            elif change.kind == "sparse":
                with place.open("wb") as file:
                    file.truncate(int(change.data))
            else:
                place.write_bytes(change.data)
        self._opened.clear()
        return _scan(self.live)

    def restore(self) -> None:
        """Makes the copy what is right again."""
        found = _scan(self.live)
        for path in sorted(found.keys() | self._state.keys()):
            if found.get(path) == self._state.get(path):
                continue
            if stat.S_ISDIR(self._state.get(path, (0,))[0]) and stat.S_ISDIR(
                found.get(path, (0,))[0]
            ):
                continue
            _remove(self.live / path)
            right = self._right / path
            if right.is_dir() and not right.is_symlink():
                (self.live / path).mkdir(parents=True, exist_ok=True)
            elif os.path.lexists(right):
                shutil.copy2(right, self.live / path, follow_symlinks=False)
        if _scan(self.outside) != self._outside_state:
            shutil.rmtree(self.outside)
            self.outside.mkdir()
            write_outside(self.outside)
            self._outside_state = _scan(self.outside)
            self._opened.close()
            self._opened = _Opened(self.outside)

    def close(self) -> None:
        """Lets go of what the system watches."""
        self._opened.close()

    def problems(self, before: State, *, may_change: Sequence[str]) -> list[str]:
        """What a run did to files that it had to leave alone."""
        problems = [f"opened outside/{name}" for name in self._opened.names()]
        if _scan(self.outside) != self._outside_state:
            problems.append("changed outside")
        after = _scan(self.live)
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) == after.get(path) or stat.S_ISDIR(after.get(path, (0,))[0]):
                continue
            if re.search(r"/?\.[^/]*\.tmp(/|$)", path):
                problems.append("left a temporary")
            elif not path.startswith(tuple(may_change)):
                what = "removed" if path not in after else "wrote"
                problems.append(f"{what} {path}")
        return problems


def write_outside(folder: Path) -> None:
    """Files that a name might lead to."""
    import h5py
    import numpy as np

    (folder / "secret.txt").write_text("secret\n", encoding="utf-8")
    (folder / "evil.py").write_text("raise SystemExit('code of the input ran')\n", encoding="utf-8")
    with h5py.File(folder / "secret.h5", "w") as file:
        file["hidden"] = np.zeros((4, 4), np.float16)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _scan(root: Path) -> State:
    """Kind and rights, size and time of everything below a folder, by path."""
    found: State = {}
    folders = [str(root)]
    begin = len(str(root)) + 1
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                folder = stat.S_ISDIR(status.st_mode)
                size = (0, 0) if folder else (status.st_size, status.st_mtime_ns)
                found[entry.path[begin:]] = (status.st_mode, *size)
                if folder:
                    folders.append(entry.path)
    return found


class _Opened:
    """Files of a folder that anybody opens, also in C: by inotify, which Linux has."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        if hasattr(libc, "inotify_init1"):
            self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            opens = 0x20
            libc.inotify_add_watch(self._descriptor, os.fsencode(folder), opens)

    def clear(self) -> None:
        """Forgets what was opened until now."""
        self.names()

    def close(self) -> None:
        """Watches no longer."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def names(self) -> list[str]:
        """What was opened since the last time that somebody asked."""
        names = []
        while self._descriptor >= 0:
            try:
                data = os.read(self._descriptor, 65536)
            except BlockingIOError:
                break
            while data:
                length = int.from_bytes(data[12:16], sys.byteorder)
                name = data[16 : 16 + length].rstrip(b"\0").decode()
                if name:
                    names.append(name)
                data = data[16 + length :]
        return sorted(set(names))


class Guard:
    """Audit hook that tells of code, processes, connections and files outside, while it is on.

    A hook cannot be taken off again: there is one for a process.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._folder: str | None = None
        self._processes: tuple[str, ...] = ()
        self._readable = tuple(
            os.path.realpath(path)
            for path in (
                sys.prefix,
                sys.base_prefix,
                *sysconfig.get_paths().values(),
                *(path for path in sys.path if path),
                ROOT,
                *("/proc", "/sys", "/dev", "/etc", "/usr"),
            )
        )
        sys.addaudithook(self._hook)

    @contextmanager
    def watching(self, folder: Path, processes: tuple[str, ...]) -> Iterator[None]:
        """Watches a run whose files are below a folder, and which may start some processes."""
        self.problems = []
        self._folder, self._processes = os.path.realpath(folder), processes
        try:
            yield
        finally:
            self._folder = None

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        watch = _EVENTS.get(event)
        if watch is not None:
            folder, self._folder = self._folder, None  # what the hook does itself is not watched
            try:
                problem = watch(self, folder, arguments)
                if problem and problem not in self.problems:
                    self.problems.append(problem)
            finally:
                self._folder = folder

    def _open(self, folder: str, arguments: tuple[Any, ...]) -> str | None:
        path, mode, flags = arguments
        if not isinstance(path, str | bytes | os.PathLike):
            return None  # a descriptor
        writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
        writes |= bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        place = _real(path, follow=not flags & getattr(os, "O_NOFOLLOW", 0))
        if _is_below(place, folder) or place == os.devnull:
            return None
        if writes:
            return f"opened for writing: {place}"
        return None if place.startswith(self._readable) else f"opened: {place}"

    def _change(self, folder: str, arguments: tuple[Any, ...]) -> str | None:
        for path in arguments[:2]:
            if isinstance(path, str | bytes | os.PathLike) and not isinstance(path, int):
                if len(arguments) > 1 and isinstance(arguments[-1], int) and arguments[-1] > 0:
                    continue  # relative to the descriptor of a folder
                place = _real(path, follow=False)
                if not _is_below(place, folder):
                    return f"changed: {place}"
        return None

    def _link(self, folder: str, arguments: tuple[Any, ...]) -> str | None:
        return self._change(folder, (arguments[1],))

    def _code(self, folder: str, arguments: tuple[Any, ...]) -> str | None:
        name = getattr(arguments[0], "co_filename", arguments[1] if len(arguments) > 1 else None)
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        if isinstance(name, str) and Path(name).is_absolute() and _is_below(name, folder):
            return f"code of the input: {name}"
        return None

    def _process(self, _: str, arguments: tuple[Any, ...]) -> str | None:
        program = arguments[0]
        if isinstance(program, bytes):
            program = os.fsdecode(program)
        if Path(str(program)).name in self._processes:
            return None
        return f"process: {arguments[:2]!r}"

    def _never(self, _: str, arguments: tuple[Any, ...]) -> str | None:
        return f"forbidden: {arguments!r}"[:200]


_EVENTS: dict[str, Callable[[Guard, str, tuple[Any, ...]], str | None]] = {
    "open": Guard._open,
    "exec": Guard._code,
    "compile": Guard._code,
    **dict.fromkeys(("subprocess.Popen", "os.posix_spawn", "os.exec", "os.spawn"), Guard._process),
    **dict.fromkeys(("os.system", "pickle.find_class"), Guard._never),
    **dict.fromkeys(("socket.connect", "socket.getaddrinfo", "socket.sendto"), Guard._never),
    **dict.fromkeys(("os.remove", "os.rename", "os.mkdir", "os.rmdir"), Guard._change),
    **dict.fromkeys(("os.truncate", "os.chmod", "shutil.rmtree"), Guard._change),
    **dict.fromkeys(("os.link", "os.symlink"), Guard._link),
}


def _real(path: Any, *, follow: bool) -> str:
    text = os.fsdecode(path)
    if follow:
        return os.path.realpath(text)
    head, tail = os.path.split(text)
    return f"{os.path.realpath(head or os.curdir).rstrip('/')}/{tail}"


def _is_below(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder + os.sep)


@dataclass(frozen=True)
class Run:
    """What a reader runs of a case: a command with arguments, and what follows if it accepts.

    Attributes:
        command: of a stage, or made of a function with ``command_of``.
        arguments: of it.
        follows: whether it must accept what the run before it made.
    """

    command: click.Command
    arguments: Sequence[str] = ()
    follows: bool = False


def command_of(function: Callable[[], object]) -> click.Command:
    """A function as a command: what it raises is told as by any other."""
    from pipeline.core.command import StageCommand

    return StageCommand("function", callback=function)


def execute(
    runs: Sequence[Run],
    workspace: Workspace,
    case: Case,
    guard: Guard,
    *,
    may_change: Sequence[str] = (),
    may_always_change: Sequence[str] = (),
    processes: tuple[str, ...] = (),
    prints_data: bool = False,
    bounded: bool = True,
) -> Outcome:
    """Runs a case; the current folder must be the workspace's copy.

    Args:
        runs: one after another, until one refuses.
        workspace: where its files are put, and put right afterwards.
        case: the input.
        guard: that watches.
        may_change: beginnings of paths that are written where the input is accepted.
        may_always_change: those that may be written where it is not, too.
        processes: names of programs that may be started.
        prints_data: whether standard output is for programs, and not for a terminal.
        bounded: whether memory is limited.
    """
    before = workspace.apply(case)
    try:
        accepted = True
        finding, told = None, ""
        allowed: tuple[str, ...] = tuple(may_always_change)
        with guard.watching(workspace.root, processes), _limits(bounded=bounded):
            for run in runs:
                accepted, finding, told = _invoke(run, prints_data=prints_data)
                if run.follows and not accepted and not finding:
                    finding = Finding(f"accepted, and then refused by {run.command.name}", told)
                if finding or not accepted:
                    break
                allowed = (*may_change, *may_always_change)
        if finding is None:
            problems = [*guard.problems, *workspace.problems(before, may_change=allowed)]
            if problems:
                finding = Finding(_place_free(problems[0]), "; ".join(problems))
    finally:
        workspace.restore()
        if torch := sys.modules.get("torch"):
            torch.set_flush_denormal(False)  # as training wants it, and Hypothesis does not
    return Outcome(accepted, finding, told)


def _invoke(run: Run, *, prints_data: bool) -> tuple[bool, Finding | None, str]:
    try:
        result = CliRunner().invoke(run.command, list(run.arguments))
    except TooLongError as error:
        return False, Finding(f"hang at {innermost(error)}", _trace(error)), ""
    error = result.exception
    if error is not None and not isinstance(error, SystemExit):
        return False, Finding(f"{type(error).__name__} at {innermost(error)}", _trace(error)), ""
    if result.exit_code == 0:
        shown = result.stderr if prints_data else result.stdout + result.stderr
        return True, _control_codes(shown), ""
    lines = [line for line in result.stderr.split("\n") if line.strip()]
    told = [line for line in lines if line.startswith("error: ")]
    if result.exit_code != 2 or len(told) != 1 or lines[-1:] != told:
        what = f"exit code {result.exit_code} of {run.command.name}, {len(told)} lines of error"
        return False, Finding(what, result.stdout[-500:] + result.stderr[-2000:]), ""
    if "not enough memory" in told[0]:
        return False, Finding(f"memory, in {run.command.name}", told[0]), told[0]
    return False, _control_codes(result.stdout + result.stderr), told[0]


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def _control_codes(shown: str) -> Finding | None:
    bad = _CONTROL.search(shown.replace("\r\n", "\n"))
    if bad is None:
        return None
    line = shown[: bad.start()].rsplit("\n", 1)[-1] + shown[bad.start() :].split("\n", 1)[0]
    return Finding(f"control code printed after {line[:20]!a}", ascii(line[:300]))


def innermost(error: BaseException) -> str:
    """The last place in the project that an error passed: its file and function."""
    place = "elsewhere"
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in _PROJECT:
            place = f"{path.relative_to(ROOT)}:{frame.name}"
    return place


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-12))[-4000:]


def _place_free(problem: str) -> str:
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", problem)[:120]


@contextmanager
def _limits(*, bounded: bool) -> Iterator[None]:
    """Ends what takes too long, and refuses memory beyond what is there and ``BYTES``."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if bounded and (held := _held_bytes()):
        resource.setrlimit(resource.RLIMIT_DATA, (held + BYTES, hard))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _held_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"VmData:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0
