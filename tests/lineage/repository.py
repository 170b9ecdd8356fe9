"""A Git repository whose ``dvc.lock`` and ``.dvc`` files are written by hand: nothing runs."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

WHO = {
    f"GIT_{role}_{field}": "nobody@example.org"
    for role in ("AUTHOR", "COMMITTER")
    for field in ("NAME", "EMAIL")
}


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Repository:
    """Commits are a minute apart, so that they have an order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stages: dict[str, Any] = {}
        self._minutes = 0
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str, stdin: bytes | None = None) -> str:
        when = f"{1_700_000_000 + 60 * self._minutes} +0000"
        result = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **WHO, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when},
            input=stdin,
            capture_output=True,
            check=True,
        )
        return result.stdout.decode().strip()

    def write(self, path: str, text: str) -> str:
        """Writes a file; returns its digest."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        return md5(text.encode())

    def point(self, path: str, text: str) -> str:
        """Writes raw data that Git does not have, and a pointer to it."""
        digest = self.write(path, text)
        exclude = self.folder / ".git" / "info" / "exclude"
        exclude.write_text(exclude.read_text() + f"/{path}\n")
        self._dump(f"{path}.dvc", {"outs": [{"md5": digest, "path": Path(path).name}]})
        return digest

    def stage(
        self,
        name: str,
        *,
        deps: dict[str, str],
        outs: dict[str, str],
        params: dict[str, Any] | None = None,
    ) -> None:
        """Lists a stage in ``dvc.lock``, files by path with their digests."""
        self.stages[name] = {
            "cmd": f"make {name}",
            "deps": [{"path": path, "hash": "md5", "md5": one} for path, one in deps.items()],
            "params": {"params.yaml": params or {}},
            "outs": [{"path": path, "hash": "md5", "md5": one} for path, one in outs.items()],
        }
        self._dump("dvc.lock", {"schema": "2.0", "stages": self.stages})

    def commit(self, subject: str) -> str:
        """Commits everything; returns the commit."""
        self._minutes += 1
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def _dump(self, path: str, data: Any) -> None:
        with (self.folder / path).open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(data, file)
