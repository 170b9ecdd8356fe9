"""A copy of the project in a folder of its own, for benchmarks of whole pipelines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

CODE = ("icehouse", "pipeline", "stages", "studies", "dvc.yaml", "params.yaml", ".dvcignore")


def copy_project(folder: Path) -> None:
    """Code, parameters and the sample corpora; nothing has run yet."""
    for name in CODE:
        source = Path(name)
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / ".dvc").mkdir()
    shutil.copy(".dvc/config", folder / ".dvc" / "config")
    (folder / "data" / "raw").mkdir(parents=True)
    for name in ("news.jsonl", "tweets.conll"):
        shutil.copyfile(Path("data/raw") / name, folder / "data" / "raw" / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


@contextmanager
def change_params(folder: Path) -> Iterator[Any]:
    """Yields the parameters of a project to change, and writes them back."""
    yaml = YAML(typ="rt")
    path = folder / "params.yaml"
    params = yaml.load(path.read_text(encoding="utf-8"))
    yield params
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


def dvc(folder: Path, *arguments: str) -> str:
    """Runs DVC in a project, and returns what it printed."""
    return _run(folder, sys.executable, "-m", "dvc", *arguments)


def stage(folder: Path, name: str, *arguments: str) -> str:
    """Runs ``stages.<name>`` in a project, and returns what it printed."""
    return _run(folder, sys.executable, "-m", f"stages.{name}", *arguments)


def commit(folder: Path) -> None:
    """Commits all that git tracks of a project: experiments stand on a commit."""
    shutil.copy(".gitignore", folder / ".gitignore")
    _run(folder, "git", "add", "--all")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    _run(folder, "git", *author, "commit", "--quiet", "--message", "benchmark")


def _run(folder: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "FEATURE_STORE"}
    environment["PYTHONPATH"] = str(folder)
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
