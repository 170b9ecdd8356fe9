"""A notebook fits, scores, saves and asks heads, and gets what ``dvc repro`` makes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_sentences
from dvc_project import Project
from import_graph import ROOT
from pipelines import BEASTS, extracted, labelled, labelled_pairs, prepared, prepared_pairs

import icehouse
from pipeline.corpus.storage import read_texts
from pipeline.features.reader import open_features

QUICK = {"recurrent": {"hidden_size": 16}, "training": {"epochs": 2, "learning_rate": 0.01}}


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("face"), labelled(random_sentences(150)))
    extracted(where, tiny_encoder)
    return where


def labels_of(folder: Path, name: str) -> dict[str, Any]:
    column = icehouse.read_labels(folder / "labels", name)
    return dict(zip(column.ids, column.values, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["news_topic", "tweet_entities"])
def test_a_head_is_the_one_that_dvc_repro_makes(pushed: Project, name: str, tmp_path: Path) -> None:
    row = pushed.params()["heads"][name]
    data = pushed.folder / "data"
    head = icehouse.Head(**row).fit(
        data / "features" / row["features"],
        icehouse.read_labels(data / "labels" / row["corpus"], row["label"]),
    )
    head.save(tmp_path / name)
    made = pushed.folder / "models" / name
    files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
    assert len(files) >= 3
    for file in files:
        assert (tmp_path / name / file).read_bytes() == (made / file).read_bytes(), file


@pytest.mark.parametrize(
    ("task", "name", "metric"),
    [
        ("sequence_classification", "kind", "accuracy"),
        ("multilabel_classification", "kinds", "micro_f1"),
        ("regression", "size", "spearman"),
        ("token_classification", "pos", "word_accuracy"),
        ("token_classification", "tags", "entity_f1"),
    ],
)
def test_every_task_is_fitted_scored_saved_loaded_and_asked(
    folder: Path, tiny_encoder: Path, tmp_path: Path, task: str, name: str, metric: str
) -> None:
    features = icehouse.open_features(folder / "features")
    head = icehouse.Head(task=task, **QUICK).fit(features, labels_of(folder, name))
    metrics = head.evaluate()
    assert metrics["test"][metric] is not None
    assert ("baseline" in metrics["test"]) == (task != "token_classification")
    assert [epoch["epoch"] for epoch in head.history] == [1, 2]
    texts = dict(read_texts(folder / "texts"))
    assert "baseline" in head.evaluate(texts)["test"]
    head.save(tmp_path / "mine")
    answers = icehouse.load(tmp_path / "mine").predict(list(texts.values()), encoder=tiny_encoder)
    found = dict(zip(texts, answers, strict=True))
    (rows,) = head.predictions.values()
    for row in rows:
        own = {key: value for key, value in row.items() if key not in ("id", "split")}
        assert found[row["id"]].items() >= own.items()


def test_pairs_apart_are_fitted_and_asked(tiny_encoder: Path, tmp_path: Path) -> None:
    examples = [*labelled_pairs(), *(replace(one, id=f"{one.id} too") for one in labelled_pairs())]
    folder = prepared_pairs(tmp_path, examples)
    extracted(folder, tiny_encoder, pairs="apart")
    features = icehouse.open_features(folder / "features")
    head = icehouse.Head(task="regression", **QUICK).fit(features, labels_of(folder, "size"))
    split_of = {row["id"]: row["split"] for rows in head.predictions.values() for row in rows}
    assert len(split_of) > 20
    for name, split in split_of.items():
        assert split_of[name.removesuffix(" too")] == split, "equal pairs stay together"
    texts = dict(read_texts(folder / "texts"))
    head.save(tmp_path / "mine")
    loaded = icehouse.load(tmp_path / "mine")
    (rows,) = head.predictions.values()
    pairs = [texts[row["id"]] for row in rows]
    assert all(isinstance(pair, icehouse.TextPair) for pair in pairs)
    answers = loaded.predict(pairs, encoder=tiny_encoder)
    assert [answer["value"] for answer in answers] == [row["value"] for row in rows]
    with pytest.raises(icehouse.IcehouseError, match="text 1: the head compares two texts"):
        loaded.predict(["one"], encoder=tiny_encoder)


def test_labels_may_be_of_some_texts_and_a_split_given(folder: Path) -> None:
    labels = dict(list(labels_of(folder, "kind").items())[:90])
    split = {row_id: ("train", "train", "dev", "test")[n % 4] for n, row_id in enumerate(labels)}
    head = icehouse.Head(task="sequence_classification", **QUICK)
    head.fit(folder / "features", labels, split=split)
    (rows,) = head.predictions.values()
    assert {row["id"]: row["split"] for row in rows} == {
        row_id: own for row_id, own in split.items() if own != "train"
    }
    assert head.evaluate()["test"]["examples"] == 22


def test_a_drawn_split_has_its_shares_and_stays_when_labels_are_added(folder: Path) -> None:
    labels = labels_of(folder, "kind")

    def drawn(of: dict[str, Any], **more: Any) -> dict[str, str]:
        head = icehouse.Head(task="sequence_classification", **QUICK)
        (rows,) = head.fit(folder / "features", of, **more).predictions.values()
        return {row["id"]: row["split"] for row in rows}

    all_of_them = drawn(labels)
    assert Counter(all_of_them.values()) == {"dev": 15, "test": 15}
    assert drawn(dict(reversed(labels.items()))) == all_of_them
    fewer = drawn(dict(list(labels.items())[:-5]))
    assert sum(fewer.get(row_id) != own for row_id, own in all_of_them.items()) < 10
    assert drawn(labels, seed=14) != all_of_them
    assert Counter(drawn(labels, split=(0.6, 0.2, 0.2)).values()) == {"dev": 30, "test": 30}


def test_fitting_leaves_the_notebook_as_it_was(folder: Path) -> None:
    before = torch.get_num_threads(), torch.random.get_rng_state()
    icehouse.Head(task="sequence_classification", **QUICK).fit(
        folder / "features", labels_of(folder, "kind")
    )
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert torch.tensor([1e-42]).add(0).item() != 0, "denormal numbers are numbers again"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "ranking"}, "task: .*must be one of sequence_classification"),
        ({"task": "regression", "crf": True}, "are for token_classification"),
        ({"task": "regression", "training": {"epochs": 0}}, "training.epochs: .*greater than"),
        ({"task": "regression", "size": 3}, "size: .*Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(icehouse.IcehouseError, match=message):
        icehouse.Head(**settings)


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("sequence_classification", {"nobody": "cold"}, "1 ids have no features, such as 'nobody'"),
        ("sequence_classification", {"s1": 3}, "that of 's1', 3, is none that sequence_class"),
        ("regression", {"s1": "far"}, "that of 's1', 'far', is none that regression learns"),
        ("token_classification", {"s1": "O"}, "that of 's1', 'O', is none"),
    ],
)
def test_labels_that_do_not_fit_are_named(
    folder: Path, task: str, change: dict[str, Any], message: str
) -> None:
    name = {"sequence_classification": "kind", "regression": "size"}.get(task, "tags")
    with pytest.raises(icehouse.IcehouseError, match=message):
        icehouse.Head(task=task).fit(folder / "features", {**labels_of(folder, name), **change})


def test_entities_must_be_in_bio(folder: Path) -> None:
    labels = {row_id: ("I-x", *tags[1:]) for row_id, tags in labels_of(folder, "tags").items()}
    with pytest.raises(icehouse.IcehouseError, match=r"word 1: 'I-x' continues no entity"):
        icehouse.Head(task="token_classification").fit(folder / "features", labels)


@pytest.mark.parametrize("split", [(0.5, 0.5), (0.5, 0.6, 0.1), (1.0, 0.0, 0.0)])
def test_shares_that_add_up_to_no_whole_are_refused(folder: Path, split: Any) -> None:
    head = icehouse.Head(task="sequence_classification")
    with pytest.raises(icehouse.IcehouseError, match="no three shares that add up to 1"):
        head.fit(folder / "features", labels_of(folder, "kind"), split=split)


def test_an_id_without_a_split_is_named(folder: Path) -> None:
    head = icehouse.Head(task="sequence_classification")
    with pytest.raises(icehouse.IcehouseError, match="split: 's0' is in None; every labelled id"):
        head.fit(folder / "features", labels_of(folder, "kind"), split={})


def test_a_head_that_is_not_fitted_says_so(folder: Path) -> None:
    head = icehouse.Head(task="sequence_classification")
    assert "not fitted" in repr(head)
    with pytest.raises(icehouse.IcehouseError, match="call fit"):
        head.evaluate()


def test_no_encoder_of_its_own_is_an_error_that_says_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    head = icehouse.Head(task="sequence_classification", **QUICK)
    head.fit(folder / "features", labels_of(folder, "kind"))
    with pytest.raises(icehouse.IcehouseError, match="holds no encoder that the head's features"):
        head.predict(["ice"])


def test_the_quick_start_of_the_readme_runs(
    folder: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first screen, and nothing else is imported."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first_screen = "\n".join(readme.splitlines()[:40])
    (code,) = re.findall(r"\n    import icehouse\n(?:\n|    .*\n)+", first_screen)
    lines = [line.removeprefix("    ") for line in code.strip("\n").splitlines()]
    assert [line for line in lines if "import" in line] == ["import icehouse"]
    for place, source in (
        ("features/news", folder / "features"),
        ("labels/news", folder / "labels"),
        ("encoders/tiny", tiny_encoder),
    ):
        (tmp_path / "data" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / place).symlink_to(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    names: dict[str, Any] = {}
    # The corpus of tests calls its label otherwise.
    exec(compile("\n".join(lines).replace('"topic"', '"kind"'), "README.md", "exec"), names)  # noqa: S102
    assert (tmp_path / "models" / "mine" / "head.json").is_file()
    assert names["answers"][0]["label"] in names["head"].description["labels"]


def test_words_of_the_face_are_those_that_it_says() -> None:
    assert set(icehouse.__all__) <= set(dir(icehouse))
    assert icehouse.open_features is open_features
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        icehouse.nothing  # noqa: B018
    assert BEASTS
