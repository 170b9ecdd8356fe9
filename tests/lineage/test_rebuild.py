"""What a rebuild runs, what it starts from, and what is said where it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from repository import Repository, md5

from pipeline.core.errors import LineageError
from pipeline.lineage.lock_entries import Item, Stage
from pipeline.lineage.machines import why_different
from pipeline.lineage.rebuild import clone_of, lacking, plan_rebuild, provide
from pipeline.lineage.upstream import Upstream, find_upstream
from pipeline.store.dvc_cache import DvcCache

RAW = Item("data/raw/news", "0")
HERE = {"cpu": "a", "threads": 2}


def stage(name: str, deps: str, outs: str) -> Stage:
    def items(paths: str) -> tuple[Item, ...]:
        return tuple(Item(path, md5(path.encode())) for path in paths.split())

    return Stage(name, "run", items(deps), items(outs), {})


STAGES = (
    stage("train@news", "labels features train.py", "models/news"),
    stage("prepare@news", "data/raw/news", "texts labels"),
    stage("extract@news", "texts encoder", "features reports/features"),
    stage("encoder@bert", "", "encoder"),
    stage("evaluate@news", "models/news/head.json", "metrics"),
    stage("train@other", "labels", "models/other"),
)


def upstream(path: str) -> Upstream:
    return find_upstream(path, STAGES, [RAW, Item("data/raw/unused", "1")])


def plan(path: str, *, from_texts: bool = False, absent: str = "") -> tuple[list[str], list[str]]:
    """Names of the stages that run, and paths of what they start from."""
    made = plan_rebuild(
        upstream(path), from_texts=from_texts, held=lambda item: item.path not in absent.split()
    )
    return [one.name for one in made.stages], sorted(item.path for item in made.start)


def test_what_a_file_was_made_from_is_in_the_order_that_it_is_made_in() -> None:
    found = upstream("metrics")
    names = [one.name for one in found.stages]
    assert sorted(names) == sorted(one.name for one in STAGES if one.name != "train@other")
    for before, after in (
        ("prepare@news", "extract@news"),
        ("encoder@bert", "extract@news"),
        ("extract@news", "train@news"),
        ("train@news", "evaluate@news"),
    ):
        assert names.index(before) < names.index(after)
    assert found.raw == (RAW,)
    assert [item.path for item in found.code] == ["train.py"]


def test_stages_that_read_each_other_end_the_walk() -> None:
    loop = (stage("a", "y", "x"), stage("b", "x", "y"))
    assert [one.name for one in find_upstream("x", loop, []).stages] == ["b", "a"]


def test_a_head_is_trained_on_the_features_that_are_there() -> None:
    assert plan("models/news") == (
        ["prepare@news", "train@news"],
        ["data/raw/news", "features"],
    )


def test_features_are_extracted_where_it_is_asked_for_or_they_are_not_there() -> None:
    expected = (["prepare@news", "extract@news", "train@news"], ["data/raw/news", "encoder"])
    assert plan("models/news", from_texts=True) == expected
    assert plan("models/news", absent="features") == expected
    assert plan("models/news", absent="reports/features")[1] == ["data/raw/news", "features"]


def test_the_stage_that_made_the_file_runs_whatever_it_is() -> None:
    assert plan("features") == (["prepare@news", "extract@news"], ["data/raw/news", "encoder"])
    assert plan("encoder") == (["encoder@bert"], [])
    assert plan("features", absent="encoder")[0] == ["prepare@news", "encoder@bert", "extract@news"]


def test_what_is_nowhere_is_named_before_anything_runs(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.write(".dvc/config", "")
    repository.write(".gitignore", ".dvc/tmp\n")
    commit = repository.commit("Empty")
    cache = DvcCache(tmp_path)
    assert lacking(cache, Item("raw", "a" * 32)) == ["a" * 32]
    with clone_of(tmp_path, commit) as clone:
        assert (clone / ".gitignore").is_file()
        with pytest.raises(LineageError, match="is not in DVC's cache, nor in a default remote"):
            provide([Item("raw", "a" * 32)], cache, clone)
    assert list((tmp_path / ".dvc" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("then", "logged", "reason"),
    [
        ("2.0", [HERE], "made with torch 2.0, this is torch 2.1"),
        ("2.1", [HERE, {"cpu": "b", "threads": 2, "rows": 3}], "cpu b, here a; last digits"),
        ("2.1", [{"cpu": "a"}], "threads None, here 2"),
        ("2.1", [HERE], "computed on this kind of machine"),
        (None, [], "is not known; on another, or with another number of threads"),
    ],
)
def test_the_likeliest_cause_of_a_difference_is_told(
    then: str | None, logged: list[dict[str, Any]], reason: str
) -> None:
    said = why_different(torch_then=then, torch_now="2.1", logged=logged, machine=HERE)
    assert reason in said
    assert "\n" not in said
