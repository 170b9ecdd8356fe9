"""Clones and experiments: what one place computed, no other computes again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from dvc_project import Project, computed, ran

pytestmark = pytest.mark.slow


@pytest.fixture
def first(pushed: Project) -> Project:
    """Built, committed and pushed."""
    return pushed


def rewrite(path: Path, lines: list[str]) -> None:
    """Replaces a file that DVC has linked into its cache."""
    path.unlink()
    path.write_text("".join(lines), encoding="utf-8")


def test_a_clone_computes_the_one_text_that_it_edits(first: Project, tmp_path: Path) -> None:
    first.run("git", "clone", "--quiet", str(first.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.dvc("pull")
    assert not (clone.folder / ".features").exists()
    assert clone.repro() == []
    raw = clone.folder / "data" / "raw" / "news.jsonl"
    original = raw.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in original]
    topics = sorted({row["topic"] for row in rows})
    # At the front: what comes after row 24 would be cut off by max_length.
    rows[30]["text"] = "Penguins " + rows[30]["text"]
    for number in (3, 7, 11):
        rows[number]["topic"] = topics[(topics.index(rows[number]["topic"]) + 1) % len(topics)]
    edited = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    rewrite(raw, edited)
    output = clone.dvc("repro")
    assert ran(output) == [
        "prepare@news",
        "extract@news",
        "train@news_topic",
        "probe@news_topic",
        "evaluate@news_topic",
        "report",
    ]
    assert computed(output) == [1]
    rewrite(raw, original)
    back = clone.dvc("repro")
    assert "extract@news" in ran(back)  # this clone never ran it: its run-cache cannot know
    assert computed(back) == [0]
    rewrite(raw, edited)
    assert clone.repro() == []
    cold = make_cold(clone, tmp_path / "cold")
    assert cold.rows_to_compute()[0] == len({row["text"] for row in rows})
    for path in (cold.folder / "again" / "news").rglob("*.h5"):
        name = path.relative_to(cold.folder / "again")
        assert path.read_bytes() == (clone.folder / "data/features" / name).read_bytes()
    assert first.repro() == []


def make_cold(clone: Project, folder: Path) -> Project:
    """The same inputs of extraction, and neither store nor cache."""
    for name in ("stages", "pipeline", "data/text", "data/encoders"):
        shutil.copytree(clone.folder / name, folder / name)
    shutil.copy(clone.folder / "params.yaml", folder)
    (folder / ".dvc").mkdir()
    return Project(folder)


def test_experiments_in_folders_of_their_own_share_the_store(first: Project) -> None:
    extractions = ("extract@news", "extract@tweets")
    shorter = first.dvc("exp", "run", "--temp", "-S", "features.tweets.max_length=12", *extractions)
    assert "extract@tweets" in ran(shorter)
    assert computed(shorter)[0] > 0
    back = first.dvc("exp", "run", "--temp", "-S", "heads.tweet_entities.training.seeds=[3]")
    assert ran(back) == ["train@tweet_entities", "evaluate@tweet_entities", "report"]
    # A third length of rows, two layers: what the experiment computed is in this place's store.
    again = first.dvc(
        *("exp", "run", "--temp", "-S", "features.tweets.max_length=12"),
        *("-S", "features.tweets.layers=[4,5,-1]", *extractions),
    )
    assert computed(again) == computed(shorter)  # layer 5 alone is new, for every row
    shutil.rmtree(first.folder / ".dvc" / "cache" / "runs")
    restored = first.dvc(
        *("exp", "run", "--temp", "--force", "-S", "features.tweets.max_length=12", *extractions)
    )
    assert computed(restored) == [0, 0]
