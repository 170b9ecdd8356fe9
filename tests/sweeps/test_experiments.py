"""Trials as experiments of DVC, which has to read their settings as we wrote them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc_project import Project, make_project
from hypothesis import given, settings
from hypothesis import strategies as st
from import_graph import ROOT

from pipeline.sweeps.experiments import overrides
from pipeline.sweeps.results import TrialRecord

pytestmark = pytest.mark.slow

SWEEP: dict[str, Any] = {
    "head": "tweet_entities",
    "trials": 3,
    "seed": 7,
    "sampler": "random",
    "pruner": None,
    "space": {
        "layers": {"subsets": [4, -1]},
        "recurrent.hidden_size": {"choices": [8, 16]},
        "training.learning_rate": {"low": 0.001, "high": 0.05, "log": True},
        "training.class_weights": {"choices": [None, "balanced"]},
    },
}


def trial(values: dict[str, Any]) -> TrialRecord:
    return TrialRecord(
        trial=0,
        state="complete",
        score=0.5,
        values=values,
        drawn={},
        seeds={},
        curve=[],
        parameters=1,
        threads=1,
    )


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), min_size=1, max_size=12)
    .filter(lambda text: text == text.strip() and not {"$", "\\"} & set(text))
    .filter(lambda text: text.lower() not in ("null", "true", "false", "nan", "inf")),
)


@settings(deadline=None)  # the first call reads the grammar
@given(value=st.one_of(values, st.lists(values, min_size=1, max_size=3)))
def test_dvc_reads_a_setting_as_it_is(value: Any) -> None:
    from dvc.utils.hydra import to_hydra_overrides
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf

    _, written = overrides("h", trial({"a.b": value}))
    content = OmegaConf.create({"heads": {"h": {"a": {"b": 1}}}})
    ConfigLoaderImpl._apply_overrides_to_config(to_hydra_overrides([written]), content)
    assert OmegaConf.to_container(content) == {"heads": {"h": {"a": {"b": value}}}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("record"))
    params = made.params()
    for table, name in (("heads", "news_topic"), ("features", "news"), ("corpora", "news")):
        del params[table][name]
    params["heads"]["tweet_entities"]["training"]["metric"] = "word_accuracy"
    params["sweeps"] = {"search": json.loads(json.dumps(SWEEP))}
    made.write_params(params)
    shutil.copy(ROOT / ".gitignore", made.folder / ".gitignore")
    with (made.folder / ".gitignore").open("a", encoding="utf-8") as file:
        file.write("/.site-cache/\n")
    made.repro()
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "start")
    made.run(sys.executable, "-m", "stages.sweep", "search")
    return made


def study(project: Project) -> dict[str, Any]:
    path = project.folder / "studies" / "search" / "study.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_the_best_trials_become_experiments_and_the_workspace_stays(project: Project) -> None:
    before = project.run("git", "status", "--porcelain")
    output = project.run(sys.executable, "-m", "stages.sweep", "search", "--record", "2")
    assert project.run("git", "status", "--porcelain") == before
    best = sorted(study(project)["trials"], key=lambda one: (-one["score"], one["trial"]))[:2]
    names = {f"search-{one['trial']}" for one in best}
    assert set(project.dvc("exp", "list", "--name-only").split()) == names
    shown = json.loads(project.dvc("exp", "show", "--json"))
    revisions = {
        revision["name"]: revision
        for commit in shown
        for experiment in commit["experiments"] or []
        for revision in experiment["revs"]
    }
    for one in best:
        data = revisions[f"search-{one['trial']}"]["data"]
        head = data["params"]["params.yaml"]["data"]["heads"]["tweet_entities"]
        assert head["layers"] == one["values"]["layers"]
        rate = one["values"]["training.learning_rate"]
        assert head["training"]["learning_rate"] == rate
        metrics = data["metrics"]["reports/heads/tweet_entities/metrics.json"]["data"]
        assert metrics["dev"]["word_accuracy"] == one["score"]
    again = project.run(sys.executable, "-m", "stages.sweep", "search", "--record", "2")
    assert again.count("is there already") == 2
    assert "is there already" not in output


def test_repro_after_apply_gives_exactly_the_score(project: Project) -> None:
    best = max(study(project)["trials"], key=lambda one: (one["score"], -one["trial"]))
    number = str(best["trial"])
    project.run(sys.executable, "-m", "stages.sweep", "search", "--apply", number)
    project.repro()
    path = project.folder / "models" / "tweet_entities" / "head.json"
    head = json.loads(path.read_text(encoding="utf-8"))
    assert head["dev_score"] == best["score"]
    assert head["best_epoch"] == next(iter(best["seeds"].values()))["best_epoch"]


def test_what_dvc_refuses_is_one_line(project: Project, tmp_path: Path) -> None:
    for name in ("params.yaml", "studies"):
        (tmp_path / name).symlink_to(project.folder / name)
    done = subprocess.run(
        [sys.executable, "-m", "stages.sweep", "search", "--record", "1"],
        cwd=tmp_path,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: dvc exp list: ERROR")
    assert done.stderr.count("\n") == 1
