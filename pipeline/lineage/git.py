"""Git, asked for a history of any length in a few processes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.core.errors import LineageError

KEPT = ("--branches", "--tags", "--remotes", "HEAD")
"""The commits that a project keeps, as arguments of ``git log``."""

_CHANGE = re.compile(r":\d+ (\d+) [0-9a-f]+ ([0-9a-f]+) [A-Z]\0([^\0]+)\0")
"""A line of ``git log --raw -z``: the mode and blob that a change led to, and the path."""

EXPERIMENTS = ("--glob=refs/exps/*",)
"""The commits of DVC's experiments."""


@dataclass(frozen=True)
class Commit:
    """A commit, as a person would name it."""

    sha: str
    date: str
    author: str
    subject: str

    @property
    def short(self) -> str:
        """Its first digits, which are enough in most projects."""
        return self.sha[:10]


class Git:
    """The repository that a project is in; a context manager, which ends what it started.

    Args:
        root: the project's root, which may be a folder of the repository.

    Raises:
        LineageError: the root is in no Git repository, or nothing was committed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self.prefix = self.run("rev-parse", "--show-prefix").rstrip("\n")
            self.run("rev-parse", "--verify", "--quiet", "HEAD")
        except LineageError:
            raise LineageError(
                f"{root}: no Git repository with a commit, so nothing tells where a file came from"
            ) from None
        self._contents = self._reader("--batch")
        self._ids = self._reader("--batch-check")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for reader in (self._contents, self._ids):
            reader.communicate()

    def run(self, *arguments: str) -> str:
        """Runs one command and returns what it printed.

        Raises:
            LineageError: Git refused, with its reason.
        """
        result = subprocess.run(  # noqa: S603
            ["git", "-c", "core.quotePath=false", "-c", "log.showRoot=true", *arguments],  # noqa: S607
            cwd=self.root,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise LineageError(f"git {arguments[0]}: {reason}")
        return result.stdout

    def versions(self, revisions: Iterable[str], patterns: Iterable[str]) -> dict[str, set[str]]:
        """All versions of some files: the ids of blobs, by the path from the project's root.

        Args:
            revisions: the tips of the history.
            patterns: of paths from the project's root, as Git's ``glob`` has them.
        """
        # --full-history and -m: a merge that took one side's file must not hide the other side's.
        output = self.run(
            *("log", "--format=", "--raw", "--no-abbrev", "--no-renames", "--full-history", "-m"),
            *("-z", *revisions, "--", *(f":(glob){pattern}" for pattern in patterns)),
        )
        found: dict[str, set[str]] = {}
        for mode, blob, path in _CHANGE.findall(output):
            if mode.startswith("100") and path.startswith(self.prefix):
                found.setdefault(path.removeprefix(self.prefix), set()).add(blob)
        return found

    def files(self, *patterns: str) -> list[str]:
        """Files of the workspace, committed or not, without ignored ones, by pattern."""
        globs = [f":(glob){pattern}" for pattern in patterns]
        output = self.run(
            *("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *globs)
        )
        return sorted(set(filter(None, output.split("\0"))))

    def tracks(self, path: str) -> bool:
        """Whether a path of the workspace is committed, or about to be."""
        return bool(self.run("ls-files", "-z", "--cached", "--", f":(literal){path}"))

    def commits(self, revisions: Iterable[str]) -> list[str]:
        """All commits, newest first, none before one that follows it."""
        return self.run("rev-list", "--date-order", *revisions).split()

    def describe(self, sha: str) -> Commit:
        """Date, author and subject of a commit."""
        line = self.run("show", "--no-patch", "--date=short", "--format=%ad%x00%an%x00%s", sha)
        date, author, subject = line.rstrip("\n").split("\0")
        return Commit(sha, date, author, subject)

    def names_of(self, sha: str) -> list[str]:
        """Branches and tags that have a commit."""
        return self.run(
            "for-each-ref",
            *("--contains", sha, "--format=%(refname:short)", "refs/heads", "refs/tags"),
        ).split()

    def id_of(self, commit: str, path: str) -> str | None:
        """The blob at a path of a commit, if there is one."""
        header = self._ask(self._ids, f"{commit}:{self.prefix}{path}")
        return header[0] if header[1:2] == ["blob"] else None

    def tree_of(self, commit: str, path: str) -> str | None:
        """The tree at a path of a commit, if there is one."""
        header = self._ask(self._ids, f"{commit}:{self.prefix}{path}")
        return header[0] if header[1:2] == ["tree"] else None

    def blobs_of(self, tree: str) -> dict[str, str]:
        """The blobs in a tree at any depth, by their path in it; links and submodules are none."""
        entries = (
            entry.split("\t", 1) for entry in self.run("ls-tree", "-r", "-z", tree).split("\0")
        )
        return {
            path: about.split(" ")[2]
            for about, *(path,) in filter(lambda entry: len(entry) == 2, entries)
            if about.startswith("100")
        }

    def text(self, blob: str) -> str:
        """The text of a blob."""
        return self.data(blob).decode("utf-8", errors="replace")

    def data(self, blob: str) -> bytes:
        """The bytes of a blob."""
        header = self._ask(self._contents, blob)
        output = self._contents.stdout
        if header[1:2] != ["blob"] or output is None:
            raise LineageError(f"git: the object {blob} is missing; is this a partial clone?")
        data = output.read(int(header[2]))
        output.read(1)
        return data

    def _reader(self, mode: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            ["git", "cat-file", mode],  # noqa: S607
            cwd=self.root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    @staticmethod
    def _ask(reader: subprocess.Popen[bytes], name: str) -> list[str]:
        to: IO[bytes] | None = reader.stdin
        if to is None or reader.stdout is None or "\n" in name:
            return []
        to.write(name.encode("utf-8", errors="surrogateescape") + b"\n")
        to.flush()
        answer = reader.stdout.readline().decode("utf-8", errors="replace").rstrip("\n")
        if answer.endswith((" missing", " ambiguous")):
            return []
        return answer.split(" ")
