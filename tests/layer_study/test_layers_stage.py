"""A layer study from stored features to its tables."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import seqeval.metrics
import torch
from click.testing import CliRunner, Result
from import_graph import ROOT
from pipelines import extracted, head_settings, prepared, prepared_pairs
from ruamel.yaml import YAML

from pipeline.corpus.storage import Labels, read_labels, read_texts
from pipeline.encoder.snapshot import read_snapshot
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.layer_study.control import control_labels
from pipeline.layer_study.selections import (
    LayerSelection,
    Rows,
    SelectionPredictions,
    layer_selections,
    predict_selection,
)
from pipeline.layer_study.study import summarise
from pipeline.layer_study.study_tables import latex, text
from stages.layers import main

yaml = YAML(typ="safe")
TRAINING = {"epochs": 8, "patience": 8}


@pytest.fixture(scope="module")
def project(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    extracted(prepared(folder / "made"), tiny_encoder, layers=(0, 2, -1))
    for kind, made, name in (
        ("labels", "labels", "c"),
        ("features", "features", "f"),
        ("text", "texts", "c"),
    ):
        (folder / "data" / kind).mkdir(parents=True)
        (folder / "made" / made).rename(folder / "data" / kind / name)
    shutil.copytree(tiny_encoder, folder / "data" / "encoders" / "e")
    heads = {
        "beasts": head_settings("token_classification", training=TRAINING),
        "cold": head_settings("sequence_classification", training=TRAINING),
        "size": head_settings("regression", training=TRAINING),
    }
    features = {
        "corpus": "c",
        "encoder": "e",
        "layers": [0, 2, -1],
        "max_length": 48,
        "long_texts": "truncate",
        "storage_dtype": "float32",
        "shard_tokens": 512,
    }
    content = {
        "features": {"f": features},
        "heads": {
            name: {k: v for k, v in head.model_dump(mode="json").items() if v is not None}
            for name, head in heads.items()
        },
    }
    for head in content["heads"].values():
        head["training"].setdefault("class_weights", None)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return folder


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FEATURE_STORE", str(folder / ".features"))
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "studies" / f"{name}_layers" / "study.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_layers_are_compared_on_pairs_apart(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = prepared_pairs(tmp_path)
    features = open_features(extracted(folder, tiny_encoder, pairs="apart"))
    labels = read_labels(folder / "labels", "size")
    control = control_labels(labels, None)
    found = {
        selection: predict_selection(
            selection,
            head_settings("regression", training=TRAINING),
            seeds=(5,),
            labels=labels,
            control=control,
            features=features,
            random_init=None,
            hash_cache=HashCache(),
            device=torch.device("cpu"),
        )
        for selection in layer_selections(features)
    }
    summary = summarise(found, labels, control, task="regression", metric="spearman")
    assert list(summary["dev"]) == ["layer 2", "layer 3", "mix"]
    for row in summary["dev"].values():
        for who in ("head", "probe"):
            assert row[who]["score"] > 0.6 > row[who]["control"]


def test_a_study_of_words_has_every_layer_control_and_floor(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(project, monkeypatch, "beasts", "--seeds", "5,6", "--floor")
    assert result.exit_code == 0, result.output
    study = read(project, "beasts")
    assert list(study["dev"]) == ["layer 0", "layer 2", "layer 3", "mix"]
    assert study["dev"]["mix"]["layers"] == [0, 2, 3]
    scores = {name: row["head"]["score"] for name, row in study["dev"].items()}
    assert study["chosen"] == max(scores, key=lambda name: scores[name])
    for name, row in study["dev"].items():
        for who in ("head", "probe"):
            assert row[who]["selectivity"] == row[who]["accuracy"] - row[who]["control"]
            assert row[who]["low"] <= row[who]["score"] <= row[who]["high"]
        behind = row["head"]["behind_chosen"]
        assert (behind is None) == (name == study["chosen"])
        if behind is not None:
            assert behind["value"] == pytest.approx(scores[name] - scores[study["chosen"]])
            assert behind["low"] <= behind["value"] <= behind["high"]
    # Beasts follow from the word alone, as chance tags do: embeddings of few words tell both.
    assert study["dev"]["layer 0"]["probe"]["score"] > 0.9
    assert study["dev"]["layer 0"]["probe"]["control"] > 0.9
    folder = project / "studies" / "beasts_layers"
    rows = list(csv.DictReader((folder / "layers.csv").read_text("utf-8").splitlines()))
    assert [row["reading"] for row in rows] == list(study["dev"])
    assert [float(row["head_score"]) for row in rows] == list(scores.values())
    assert sum(int(row["chosen"]) for row in rows) == 1
    labels = list(csv.DictReader((folder / "labels.csv").read_text("utf-8").splitlines()))
    assert [row["label"] for row in labels] == ["beast"]
    assert float(labels[0]["mix"]) == pytest.approx(scores["mix"])
    table = (folder / "table.tex").read_text("utf-8")
    assert table.count("\\\\\n") == 6
    assert "Floor" in table
    assert "\\textbf{" in table
    assert result.output.count("on test: entity_f1") == 1


def test_the_floor_is_another_encoder_of_the_same_shape(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.layer_study.random_init import random_encoder

    encoder = project / "data" / "encoders" / "e"
    for name in ("one", "two"):
        random_encoder(encoder, tmp_path / name)
    one, two = (read_snapshot(tmp_path / name, verify=True) for name in ("one", "two"))
    real = read_snapshot(encoder, verify=True)
    assert one.fingerprint() == two.fingerprint()
    assert (one.depth, one.width, one.tokenizer) == (real.depth, real.width, real.tokenizer)
    assert one.weights != real.weights


def test_a_second_study_gives_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, encoded: list[int]
) -> None:
    run(project, monkeypatch, "cold", "--floor")
    folder = project / "studies" / "cold_layers"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    encoded.clear()
    run(project, monkeypatch, "cold", "--floor")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert encoded == [], "the floor's features were there"


def test_a_study_of_numbers_has_no_labels(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(project, monkeypatch, "size")
    assert result.exit_code == 0, result.output
    study = read(project, "size")
    assert study["labels"] == {}
    assert "floor" not in study["dev"]["mix"]["head"]
    assert study["dev"]["layer 0"]["probe"]["score"] > study["dev"]["layer 0"]["probe"]["control"]


def predicted(project: Path, head: str) -> tuple[Any, Any, dict[Any, SelectionPredictions]]:
    settings = head_settings("token_classification", training={"epochs": 4})
    data = project / "data"
    labels = read_labels(data / "labels" / "c", "tags")
    control = control_labels(labels, [text for _, text in read_texts(data / "text" / "c")])
    features = open_features(data / "features" / "f")
    import torch

    found = {
        selection: predict_selection(
            selection,
            settings,
            seeds=(5, 6),
            labels=labels,
            control=control,
            features=features,
            random_init=None,
            hash_cache=HashCache(),
            device=torch.device("cpu"),
        )
        for selection in layer_selections(features)[:2]
    }
    return labels, control, found


def entity_f1(gold: list[Any], tags: list[Any]) -> float:
    known = [[tag or "O" for tag in row] for row in tags]
    return float(seqeval.metrics.f1_score([list(row) for row in gold], known))


def word_accuracy(gold: list[Any], tags: list[Any]) -> float:
    words = [pair for row in zip(gold, tags, strict=True) for pair in zip(*row, strict=True)]
    return fmean(tag == guess for tag, guess in words)


def test_scores_are_those_of_seqeval(project: Path) -> None:
    labels, control, found = predicted(project, "beasts")
    study = summarise(found, labels, control, task="token_classification", metric="entity_f1")
    for selection, rows in found.items():
        golds = {
            name: [v for v, s in zip(one.values, one.splits, strict=True) if s == "dev"]
            for name, one in (("real", labels), ("control", control))
        }
        tags = [
            [row["tags"] for row in run if row["split"] == "dev"]
            for run in rows.real.heads.values()
        ]
        by_chance = [row["tags"] for row in rows.control.probe if row["split"] == "dev"]
        f1 = [entity_f1(golds["real"], one) for one in tags]
        ours = study["dev"][selection.name]
        assert ours["head"]["score"] == pytest.approx(fmean(f1))
        assert ours["head"]["deviation"] == pytest.approx(stdev(f1))
        accuracy = [word_accuracy(golds["real"], one) for one in tags]
        assert ours["head"]["accuracy"] == pytest.approx(fmean(accuracy))
        expected = word_accuracy(golds["control"], by_chance)
        assert ours["probe"]["control"] == pytest.approx(expected)
    assert list(found[next(iter(found))].control.heads) == [5], "of the first seed alone"


def test_differences_are_of_paired_draws(project: Path) -> None:
    labels, control, found = predicted(project, "beasts")
    study = summarise(found, labels, control, task="token_classification", metric="word_accuracy")
    chosen = study["chosen"]
    other = next(name for name in study["dev"] if name != chosen)
    behind = study["dev"][other]["head"]["behind_chosen"]
    # Brute force: the same draws by hand, example by example.
    members = [n for n, split in enumerate(labels.splits) if split == "dev"]
    right, words = {}, np.array([len(labels.values[n]) for n in members])
    for selection, rows in found.items():
        runs = []
        for run_rows in rows.real.heads.values():
            of = {row["id"]: row["tags"] for row in run_rows}
            runs.append(
                [
                    sum(a == b for a, b in zip(labels.values[n], of[labels.ids[n]], strict=True))
                    for n in members
                ]
            )
        right[selection.name] = np.array(runs, np.float64)
    rng = np.random.default_rng(1)
    draws = rng.integers(0, len(members), (4000, len(members)))
    gaps = [
        np.mean((right[other] - right[chosen])[:, drawn].sum(1) / words[drawn].sum())
        for drawn in draws
    ]
    assert behind["low"] == pytest.approx(np.percentile(gaps, 2.5), abs=0.01)
    assert behind["high"] == pytest.approx(np.percentile(gaps, 97.5), abs=0.01)


def numbers(predictions: list[float]) -> list[dict[str, Any]]:
    return [
        {"id": str(n), "split": split, "value": value}
        for split in ("dev", "test")
        for n, value in enumerate(predictions)
    ]


@pytest.mark.parametrize("metric", ["rmse", "spearman"])
def test_errors_and_correlations_are_told_as_what_they_are(metric: str) -> None:
    gold = [1.0, 2.0, 3.0, 4.0]
    labels = Labels(
        kind="number",
        ids=[str(n) for n in range(4)] * 2,
        splits=["dev"] * 4 + ["test"] * 4,
        values=gold * 2,
        texts_sha256="",
    )
    near, far = [1.0, 2.0, 3.0, 4.5], [5.0, 5.0, 5.0, 5.0]  # all the same: no correlation
    found = {}
    for name, values in (("layer 1", near), ("layer 2", far)):
        rows = Rows({1: numbers(values)}, numbers(values))
        found[LayerSelection(name, (int(name[-1]),))] = SelectionPredictions(rows, rows, rows)
    study = summarise(found, labels, labels, task="regression", metric=metric)
    assert study["chosen"] == "layer 1"
    behind = study["dev"]["layer 2"]["head"]["behind_chosen"]
    assert behind["value"] < 0
    table, lines = latex(study, title="size"), text(study)
    if metric == "rmse":
        assert "\\textbf{0.250} & 0.250" in table
        assert behind["low"] <= behind["value"] <= behind["high"] < 0
        assert lines[1].split()[2:4] == ["0.250", "[0.000,"]
    else:
        assert "\\textbf{100.0} & 100.0" in table
        assert behind["low"] is None
        assert lines[2].endswith(" -1.000")


def test_a_table_of_sweeps_may_be_empty(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = project / "params.yaml"
    before = params.read_text(encoding="utf-8")
    params.write_text(before + "sweeps:\n", encoding="utf-8")
    try:
        result = run(project, monkeypatch, "cold", "--seeds=a")
    finally:
        params.write_text(before, encoding="utf-8")
    assert "give different whole numbers" in result.output


def test_the_folder_of_a_sweep_is_left_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = project / "studies" / "cold_layers"
    shutil.rmtree(sweep, ignore_errors=True)
    sweep.mkdir(parents=True)
    (sweep / "trials.csv").write_text("trial\n", encoding="utf-8")
    result = run(project, monkeypatch, "cold")
    assert result.exit_code == 2
    assert "studies/cold_layers: is for the sweep of that name; rename the sweep" in result.output
    assert [path.name for path in sweep.iterdir()] == ["trials.csv"]
    shutil.rmtree(sweep)


@pytest.mark.parametrize("seeds", ["", "a", "1,1", "-1", "1,"])
def test_seeds_that_are_none_are_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, seeds: str
) -> None:
    result = run(project, monkeypatch, "cold", f"--seeds={seeds}")
    if seeds:
        assert result.exit_code == 2
        assert "give different whole numbers, as 13,14,15" in result.output
        assert result.output.count("\n") == 1


def test_without_a_floor_no_encoder_is_loaded(project: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from stages.layers import main\n"
        f"arguments = ['cold', '--studies-root', {str(tmp_path)!r}]\n"
        "result = CliRunner().invoke(main, arguments, catch_exceptions=False)\n"
        "assert result.exit_code == 0, result.output\n"
        "sys.exit(any(name.split('.')[0] == 'transformers' for name in sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEATURE_STORE": str(tmp_path / "store")}
    done = subprocess.run([sys.executable, "-c", code], cwd=project, env=environment, check=False)
    assert done.returncode == 0
