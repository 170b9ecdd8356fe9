"""The real stages through DVC, on a few dozen rows, in a clone that pulled data and no results.

Metrics come with git there: what DVC has not seen made, it could not restore.
"""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from conftest import write_tiny_bert
from dvc_project import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(pushed: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("integration") / "clone"
    pushed.run("git", "clone", "--quiet", str(pushed.folder), str(folder))
    made = Project(folder)
    made.dvc("pull", "data/raw/news.jsonl", "data/raw/tweets.conll")
    return made


@pytest.fixture(scope="module")
def first_run(project: Project) -> list[str]:
    return project.repro()


@pytest.fixture(autouse=True)
def _built(first_run: list[str]) -> None:
    """Every test finds the project built."""


def test_everything_runs_once_and_then_nothing(
    pushed: Project, project: Project, first_run: list[str]
) -> None:
    assert len(first_run) == 1 + 2 + 2 + 2 + 2 + 2 + 1
    assert project.lock() == pushed.lock()
    assert project.repro() == []
    assert project.lock() == pushed.lock()


def test_metrics_history_and_reports_are_there(project: Project) -> None:
    heads = project.folder / "reports" / "heads"
    news = json.loads((heads / "news_topic" / "metrics.json").read_text(encoding="utf-8"))
    tags = json.loads((heads / "tweet_entities" / "metrics.json").read_text(encoding="utf-8"))
    assert 0 <= news["test"]["accuracy"] <= 1
    assert tags["test"]["baseline"]["margin"]["entity_f1"] == pytest.approx(
        tags["test"]["entity_f1"] - tags["test"]["baseline"]["entity_f1"]
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
    assert project.repro() == ["train@news_topic", "evaluate@news_topic", "report"]
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
    head = {f"{stage}@news_topic" for stage in ("train", "probe", "evaluate")}
    assert set(ran) <= {"prepare@news", *head, "report"}
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
    assert project.repro() == ["encoder@another", "extract@tweets_another", "report"]
    project.write_params(original)
    (project.folder / "reports" / "features" / "tweets_another.json").unlink()
    assert project.repro() == []
    (project.folder / "dvc.lock").write_bytes(lock)


def test_reverted_encoder_parameters_run_nothing(project: Project) -> None:
    original, lock = project.params(), project.lock()
    changed = project.params()
    changed["features"]["tweets"]["max_length"] = 16
    project.write_params(changed)
    assert "extract@tweets" in project.repro()
    project.write_params(original)
    assert project.repro() == []
    assert project.lock() == lock


def test_without_run_cache_the_store_spares_the_encoder(project: Project) -> None:
    lock = project.lock()
    assert project.rows_to_compute() == [0, 0]
    shutil.rmtree(project.folder / ".dvc" / "cache" / "runs")
    shutil.rmtree(project.folder / "data" / "features")
    project.dvc("repro", "--force", "--single-item", "extract@tweets")
    assert project.lock() == lock
    project.dvc("checkout")
