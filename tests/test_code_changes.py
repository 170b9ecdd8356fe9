"""An edit to a room runs the stages that depend on it, and those whose inputs it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc_project import Project, ran

pytestmark = pytest.mark.slow

HEADS = ("news_topic", "tweet_entities")
TRAIN = {f"train@{head}" for head in HEADS}


@pytest.fixture
def clone(pushed: Project, tmp_path: Path) -> Project:
    """A clone of the small project with everything that it made."""
    pushed.run("git", "clone", "--quiet", str(pushed.folder), str(tmp_path / "clone"))
    project = Project(tmp_path / "clone")
    project.dvc("pull", "--quiet")
    assert project.repro() == []
    return project


def edit(project: Project, file: str, before: str, after: str) -> None:
    path = project.folder / "pipeline" / file
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_an_edit_to_a_corpus_format_runs_prepare_alone(clone: Project) -> None:
    """The prepared bytes are the same, so that nothing follows."""
    edit(clone, "ingest/conll.py", "CoNLL columns", "Columns, as CoNLL has them")
    assert set(clone.repro()) == {"prepare@news", "prepare@tweets"}


def test_an_edit_to_the_page_runs_the_report_alone(clone: Project) -> None:
    edit(clone, "report/assets/page.css", "body", "html body")
    assert clone.repro() == ["report"]


def test_an_edit_to_a_cell_runs_train_and_what_follows(clone: Project) -> None:
    edit(clone, "heads/lstm.py", ".view(len(tokens), -1)", ".view(len(tokens), -1) * 0.5")
    dry = clone.dvc("repro", "--dry")
    assert set(ran(dry)) == TRAIN, "of what depends on the code itself"
    follows = {f"evaluate@{head}" for head in HEADS} | {"report"}
    assert set(clone.repro()) == TRAIN | follows


def test_an_edit_that_changes_no_byte_stops_at_the_stage_itself(clone: Project) -> None:
    edit(clone, "evaluation/table.py", "Metrics as lines", "Metrics in lines")
    assert set(clone.repro()) == {"evaluate@news_topic", "evaluate@tweet_entities", "report"}
    edit(clone, "heads/gru.py", "Reset, update, new", "Gates: reset, update, new")
    assert set(clone.repro()) == TRAIN
