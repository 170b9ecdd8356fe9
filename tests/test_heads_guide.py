"""The commands and the code in docs/guides/heads.md do what the guide says, without the encoder."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

import pytest
from dvc_project import Project, ran
from import_graph import ROOT

pytestmark = pytest.mark.slow

GUIDE = (ROOT / "docs" / "guides" / "heads.md").read_text(encoding="utf-8")
BLOCKS = [
    textwrap.dedent(block) for block in re.findall(r"(?:^(?: {4}.*)?\n)+", GUIDE, re.MULTILINE)
]
EXPERIMENTS, PREDICTIONS, CODE = (
    next(block.strip("\n") for block in BLOCKS if start in block)
    for start in ("dvc exp run", "stages.predict", "import icehouse")
)


@pytest.fixture
def clone(pushed: Project, tmp_path: Path) -> Project:
    """A clone of the small project with everything that it made."""
    pushed.run("git", "clone", "--quiet", str(pushed.folder), str(tmp_path / "clone"))
    project = Project(tmp_path / "clone")
    project.dvc("pull", "--quiet")
    return project


def test_every_change_of_a_head_runs_that_head_and_the_report(clone: Project) -> None:
    commands = EXPERIMENTS.splitlines()
    assert len(commands) == 3
    for command in commands:
        head = re.findall(r"heads\.(\w+)\.", command)[0]
        stages = ran(clone.run("bash", "-c", command))
        assert {f"train@{head}", f"evaluate@{head}", "report"} <= set(stages)
        assert set(stages) <= {f"{s}@{head}" for s in ("train", "probe", "evaluate")} | {"report"}
    heads = clone.params()["heads"]
    assert heads["tweet_entities"]["combine"] == "mix"
    assert heads["news_topic"]["training"]["seeds"] == [1, 2, 3]
    mix = (clone.folder / "reports/heads/tweet_entities/layers.csv").read_text(encoding="utf-8")
    assert len(mix.splitlines()) == 1 + 2


def test_new_text_is_answered_as_the_guide_says(clone: Project) -> None:
    tickets = "The match ended in a draw.\nShares fell sharply.\n"
    (clone.folder / "tickets.txt").write_text(tickets, encoding="utf-8")
    text = "Off to Lake Garda with Ada"
    (clone.folder / "new.jsonl").write_text(json.dumps({"text": text}) + "\n", encoding="utf-8")
    to_screen, to_file = PREDICTIONS.splitlines()
    answers = [json.loads(line) for line in clone.run("bash", "-c", to_screen).splitlines()]
    assert [answer["id"] for answer in answers] == ["1", "2"]
    assert all(answer["label"] in answer["probabilities"] for answer in answers)
    clone.run("bash", "-c", to_file)
    (tags,) = (clone.folder / "tags.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(json.loads(tags)["tags"]) == len(text.split())
    # A head of one epoch may know no entity.
    code = CODE.replace('[0]["entities"]', '[0]["tags"]')
    assert code != CODE
    lines = code.splitlines()
    last = next(n for n, line in enumerate(lines) if line.startswith("icehouse."))
    lines[last] = f"print({lines[last]})"
    assert clone.run(sys.executable, "-c", "\n".join(lines)) == f"{json.loads(tags)['tags']}\n"
