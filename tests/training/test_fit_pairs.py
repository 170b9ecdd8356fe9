"""Heads on pairs that are read apart: trained, scored, saved, asked; in folds, and as on a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fused_heads import everywhere
from pipelines import (
    extracted,
    fit,
    head_inputs,
    head_settings,
    label_type_of,
    labelled_pairs,
    prepared_pairs,
)

from pipeline.core.errors import DataError
from pipeline.core.files import canonical_json
from pipeline.corpus.storage import Labels, read_labels
from pipeline.evaluation.predictions import read_predictions
from pipeline.features.reader import open_features
from pipeline.heads.checkpoint import load_head, save_head
from pipeline.tasks.dataset import build_dataset
from pipeline.tasks.registry import default_label_type
from pipeline.training import batches
from pipeline.training.batches import epoch_batches
from pipeline.training.fit import train_seed
from pipeline.training.gpu_states import HeldStates, on_device
from pipeline.training.states import MappedStates

CPU = torch.device("cpu")
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "class": ("sequence_classification", {}),
    "classes": ("multilabel_classification", {"pooling": "max"}),
    "number": ("regression", {"pooling": "mean", "layers": (2, -1), "combine": "mix"}),
}
EVERY_HEAD = pytest.mark.parametrize(("task", "changes"), HEADS.values(), ids=HEADS)
LONG = {"epochs": 20, "patience": 20}


@pytest.fixture(scope="module", params=["apart", "together"])
def folder(
    request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    where = prepared_pairs(tmp_path_factory.mktemp(request.param))
    extracted(where, tiny_encoder, pairs=request.param)
    return where


@pytest.fixture(scope="module")
def apart(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared_pairs(tmp_path_factory.mktemp("only_apart"))
    extracted(where, tiny_encoder, pairs="apart")
    return where


@EVERY_HEAD
def test_a_head_learns_how_two_texts_differ(
    folder: Path, task: str, changes: dict[str, Any]
) -> None:
    fitted = fit(folder, head_settings(task, training=LONG, **changes))
    assert fitted.history[-1].train_loss < 0.5 * fitted.history[0].train_loss
    assert fitted.description["dev_score"] > 0.6
    apart = open_features(folder / "features").pairs_apart
    assert fitted.description.get("pairs") == ("apart" if apart else None)
    assert ("pairs" in fitted.description) == apart


@EVERY_HEAD
def test_two_trainings_give_the_same_bytes_and_a_saved_head_is_that_head(
    folder: Path, task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    saved = []
    for name in ("one", "two"):
        torch.rand(7)
        fitted = fit(folder, head_settings(task, **changes))
        (tmp_path / name).mkdir()
        save_head(tmp_path / name, fitted.head, fitted.description)
        files = [
            (tmp_path / name / file).read_bytes() for file in ("head.safetensors", "head.json")
        ]
        saved.append((*files, canonical_json(fitted.predictions["seed_5"])))
    assert saved[0] == saved[1]
    loaded, description = load_head(tmp_path / "one", device=CPU)
    assert loaded.pairs_apart == (description.get("pairs") == "apart")
    for one, other in zip(loaded.parameters(), fitted.head.parameters(), strict=True):
        assert torch.equal(one, other)


@EVERY_HEAD
def test_predictions_are_rows_that_evaluation_reads(
    folder: Path, task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    settings = head_settings(task, **changes)
    labels = read_labels(folder / "labels", settings.label)
    rows = fit(folder, settings).predictions["seed_5"]
    for name in ("dev", "test"):
        expected = [i for i, s in zip(labels.ids, labels.splits, strict=True) if s == name]
        assert [row["id"] for row in rows if row["split"] == name] == expected
    path = tmp_path / "seed_5.jsonl"
    path.write_text("".join(canonical_json(row) + "\n" for row in rows), encoding="utf-8")
    assert read_predictions(path, labels, label_type_of(settings))


@EVERY_HEAD
def test_the_path_of_a_gpu_learns_the_same(
    apart: Path, task: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = head_inputs(apart, head_settings(task, recurrent={"dropout": 0.0}, **changes))
    expected = train_seed(inputs, seed=3, after_epoch=repr)
    everywhere(monkeypatch)
    assert isinstance(inputs.states, MappedStates)
    layers = [on_device(shards, CPU) for shards in inputs.states.layers]
    held = HeldStates(layers, inputs.states._offsets)
    found = train_seed(replace(inputs, states=held), seed=3, after_epoch=repr)
    for one, other in zip(expected.history, found.history, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=2e-3)
        assert other.dev_loss == pytest.approx(one.dev_loss, rel=2e-2)


def test_every_fold_is_tested_once(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = prepared_pairs(tmp_path, folds=3)
    extracted(folder, tiny_encoder, pairs="apart")
    settings = head_settings("regression", training={"epochs": 2, "seeds": (5, 6)})
    fitted = fit(folder, settings)
    assert list(fitted.predictions) == [f"fold_{n}_seed_{s}" for n in (1, 2, 3) for s in (5, 6)]
    tested = [
        row["id"]
        for name, rows in fitted.predictions.items()
        for row in rows
        if name.endswith("seed_5") and row["split"] == "test"
    ]
    assert sorted(tested) == sorted(example.id for example in labelled_pairs())
    assert fitted.description["pairs"] == "apart"


def test_batches_are_of_examples_with_about_as_many_tokens_in_both_texts(
    apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = head_inputs(apart, head_settings("regression")).dataset
    split = dataset.splits["train"]
    assert split.rows.shape == split.lengths.shape == (len(split), 2)
    monkeypatch.setattr(batches, "BLOCK_TOKENS", 400)
    monkeypatch.setattr(batches, "_STRETCH_TOKENS", 50)
    told: list[np.ndarray] = []
    made = list(
        epoch_batches(
            split.rows,
            split.tokens,
            batch_size=4,
            rng=np.random.default_rng(0),
            read_ahead=told.append,
        )
    )
    assert sorted(np.concatenate(made)) == list(range(len(split)))
    assert told
    assert all(rows.ndim == 2 for rows in told), "the rows of both texts are read ahead"
    for rows in told:
        head_inputs(apart, head_settings("regression")).states.will_need(rows)


def test_labels_of_words_are_refused(apart: Path) -> None:
    features = open_features(apart / "features")
    ids = features.example_ids
    labels = Labels(
        ids, ["train"] * len(ids), [("x",)] * len(ids), "tags", features.manifest.texts_sha256
    )
    with pytest.raises(DataError, match="its pairs of texts are apart"):
        build_dataset(labels, features, default_label_type("tags"))
