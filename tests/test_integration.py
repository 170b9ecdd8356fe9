"""The real stages through DVC, on a few dozen rows with MiniLM, in a repository of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import write_tiny_bert
from import_graph import ROOT
from ruamel.yaml import YAML

from pipeline.corpus.samples import write_samples

yaml = YAML(typ="rt")


class Project:
    """A copy of the project, small data in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first_run: list[str] = []
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "DVC_SITE_CACHE_DIR": str(folder / ".site-cache"),
            "HF_HUB_OFFLINE": "1",
            "https_proxy": "http://127.0.0.1:9",  # nothing listens: whoever asks fails
        }
        self.environment.pop("FEATURE_STORE", None)

    def run(self, *command: str) -> str:
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout + result.stderr

    def repro(self) -> list[str]:
        """Runs ``dvc repro``; returns the stages that ran, as opposed to restored ones."""
        output = self.run(sys.executable, "-m", "dvc", "repro")
        return re.findall(r"Running stage '([^']+)'", output)

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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    for name in ("pipeline", "stages"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("dvc.yaml", "tests/params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / Path(name).name)
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    raw = folder / "data" / "raw"
    write_samples(raw)
    news = (raw / "news.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (raw / "news.jsonl").write_text("".join(news[:60]), encoding="utf-8")
    tweets = (raw / "tweets.conll").read_text(encoding="utf-8").split("\n\n")
    (raw / "tweets.conll").write_text("\n\n".join(tweets[:60]) + "\n", encoding="utf-8")

    made = Project(folder)
    made.run("git", "init", "-q")
    params = made.params()
    shrink(params)
    made.write_params(params)
    made.first_run = made.repro()
    return made


def test_everything_runs_once_and_then_nothing(project: Project) -> None:
    assert len(project.first_run) == 1 + 2 + 2 + 2 + 2
    before = project.lock()
    assert project.repro() == []
    assert project.lock() == before


def test_metrics_history_and_reports_are_there(project: Project) -> None:
    heads = project.folder / "reports" / "heads"
    news = json.loads((heads / "news_topic" / "metrics.json").read_text(encoding="utf-8"))
    tags = json.loads((heads / "tweet_entities" / "metrics.json").read_text(encoding="utf-8"))
    assert 0 <= news["test"]["accuracy"] <= 1
    assert tags["test"]["margin"] == pytest.approx(
        tags["test"]["micro"]["f1"] - tags["test"]["baseline"]["f1"]
    )
    history = (heads / "news_topic" / "history.csv").read_text(encoding="utf-8").splitlines()
    assert history[0] == "epoch,train_loss,dev_loss"
    assert len(history) == 2
    corpus = json.loads((project.folder / "reports/corpora/news.json").read_text(encoding="utf-8"))
    features = json.loads(
        (project.folder / "reports/features/news.json").read_text(encoding="utf-8")
    )
    assert corpus["rows"] == features["examples"] == 60
    assert features["truncated_rows"] > 0


def test_features_exist_once_on_disk(project: Project) -> None:
    for file in (project.folder / "data" / "features").rglob("layer_*.h5"):
        # the store, DVC's cache and the workspace: one inode
        assert file.stat().st_nlink >= 3
        assert file.stat().st_mode & 0o222 == 0


def test_a_head_change_runs_that_head_only_and_reverting_runs_nothing(project: Project) -> None:
    original, lock = project.params(), project.lock()
    changed = project.params()
    changed["heads"]["news_topic"]["recurrent"]["hidden_size"] = 24
    project.write_params(changed)
    assert project.repro() == ["train@news_topic", "evaluate@news_topic"]
    project.write_params(original)
    assert project.repro() == []
    assert project.lock() == lock


def test_a_label_correction_never_reaches_extraction(project: Project) -> None:
    raw = project.folder / "data" / "raw" / "news.jsonl"
    lock, before = project.lock(), raw.read_text(encoding="utf-8")
    first, rest = before.split("\n", 1)
    row = json.loads(first)
    row["topic"] = "tech" if row["topic"] != "tech" else "politics"
    raw.write_text(json.dumps(row, ensure_ascii=False) + "\n" + rest, encoding="utf-8")
    ran = project.repro()
    assert set(ran) <= {"prepare@news", "train@news_topic", "evaluate@news_topic"}
    assert "prepare@news" in ran
    assert "train@news_topic" in ran
    raw.write_text(before, encoding="utf-8")
    assert project.repro() == []
    assert project.lock() == lock


def test_a_second_encoder_leaves_every_existing_stage_alone(project: Project) -> None:
    original, lock = project.params(), project.lock()
    write_tiny_bert(project.folder / "another")
    params = project.params()
    params["encoders"]["another"] = {"source": "./another", "revision": None}
    params["features"]["tweets_another"] = {
        **params["features"]["tweets"],
        "encoder": "another",
        "layers": [1, -1],
    }
    project.write_params(params)
    project.run(sys.executable, "-m", "stages.check")
    assert project.repro() == ["encoder@another", "extract@tweets_another"]
    project.write_params(original)
    assert project.repro() == []
    (project.folder / "dvc.lock").write_bytes(lock)
