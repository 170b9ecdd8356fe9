"""A copy of the project in a folder of its own, whose real stages run through DVC."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from import_graph import ROOT
from ruamel.yaml import YAML

from pipeline.setup.demo_data import write_demo_data

yaml = YAML(typ="rt")


class Project:
    """A copy of the project, small data in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "DVC_SITE_CACHE_DIR": str(folder / ".site-cache"),
            "HF_HUB_OFFLINE": "1",
            "https_proxy": "http://127.0.0.1:9",  # nothing listens: whoever asks fails
            **{
                f"GIT_{role}_{field}": "nobody@example.org"
                for role in ("AUTHOR", "COMMITTER")
                for field in ("NAME", "EMAIL")
            },
        }
        self.environment.pop("FEATURE_STORE", None)

    def try_(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *command: str) -> str:
        result = self.try_(*command)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout + result.stderr

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def repro(self) -> list[str]:
        """Runs ``dvc repro``; returns the stages that ran, as opposed to restored ones."""
        return ran(self.dvc("repro"))

    def rows_to_compute(self) -> list[int]:
        """Extracts every features row by hand into a place of its own: what the store lacks."""
        counts = []
        for name, row in self.params()["features"].items():
            output = self.run(
                *(sys.executable, "-m", "stages.extract", name),
                *("--texts", f"data/text/{row['corpus']}"),
                *("--encoder", f"data/encoders/{row['encoder']}"),
                *("--out", f"again/{name}", "--report", f"again/{name}.json"),
            )
            counts += computed(output)
        return counts

    def params(self) -> Any:
        return yaml.load((self.folder / "params.yaml").read_text(encoding="utf-8"))

    def write_params(self, params: Any) -> None:
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(params, file)

    def lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()


def shrink(params: Any) -> None:
    """Short texts, one epoch."""
    for row in params["features"].values():
        row["max_length"] = 24
    for head in params["heads"].values():
        head["recurrent"]["hidden_size"] = 16
        head["training"]["epochs"] = 1
    del params["heads"]["news_topic_middle"]
    del params["heads"]["tweet_entities_middle"]


def ran(output: str) -> list[str]:
    """The stages that DVC ran, as opposed to restored ones."""
    return re.findall(r"Running stage '([^']+)'", output)


def computed(output: str) -> list[int]:
    """How many rows each extraction ran the encoder on."""
    return [int(count) for count in re.findall(r"(\d+) rows \(\d+ tokens\) to compute", output)]


def copy_code(folder: Path) -> Project:
    """The code and the stages in a folder under git, without data and parameters."""
    for name in ("icehouse", "pipeline", "stages"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    made = Project(folder)
    made.run("git", "init", "-q")
    return made


def make_project(folder: Path) -> Project:
    """Sixty rows of each sample, short texts, one epoch; nothing has run yet."""
    made = copy_code(folder)
    shutil.copytree(ROOT / "studies", folder / "studies")
    shutil.copy(ROOT / "tests" / "params.yaml", folder)
    raw = folder / "data" / "raw"
    write_demo_data(raw)
    news = (raw / "news.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (raw / "news.jsonl").write_text("".join(news[:60]), encoding="utf-8")
    tweets = (raw / "tweets.conll").read_text(encoding="utf-8").split("\n\n")
    (raw / "tweets.conll").write_text("\n\n".join(tweets[:60]) + "\n", encoding="utf-8")

    params = made.params()
    shrink(params)
    made.write_params(params)
    return made
