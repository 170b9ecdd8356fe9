from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pipelines import extracted, fit, head_inputs, head_settings, label_type_of, prepared

from pipeline.core.errors import StoreError, TrainingError
from pipeline.core.files import canonical_json
from pipeline.corpus.storage import read_labels
from pipeline.evaluation.predictions import read_predictions
from pipeline.features.reader import open_features
from pipeline.heads.checkpoint import load_head, save_head
from pipeline.tasks.registry import tasks
from pipeline.tasks.single_label import SingleLabel
from pipeline.training import batches
from pipeline.training.fit import new_head
from pipeline.training.loop import Epoch, evaluate, train
from pipeline.training.states import MappedStates

CPU = torch.device("cpu")
TASKS: list[str] = tasks()
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "class": ("sequence_classification", {}),
    "classes": ("multilabel_classification", {}),
    "number": ("regression", {}),
    "entities": ("token_classification", {}),
    "tags": ("token_classification", {"label": "pos"}),
    "field": ("token_classification", {"crf": True, "scheme": "bioes"}),
}
EVERY_HEAD = pytest.mark.parametrize(("task", "changes"), HEADS.values(), ids=HEADS)


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("fit"))
    extracted(where, tiny_encoder)
    return where


LONG = {"epochs": 20, "patience": 20}


@EVERY_HEAD
def test_a_head_learns_what_its_words_tell(
    folder: Path, task: str, changes: dict[str, Any]
) -> None:
    fitted = fit(folder, head_settings(task, training=LONG, **changes))
    assert fitted.history[-1].train_loss < 0.5 * fitted.history[0].train_loss
    assert fitted.description["dev_score"] > 0.6


@pytest.mark.parametrize(
    "changes",
    [
        {"recurrent": {"cell": "gru", "num_layers": 2, "locked_dropout": True}},
        {"recurrent": {"bidirectional": False}, "pooling": "last"},
        {"layers": (2, -1), "combine": "mix", "pooling": "mean"},
        {"layers": (2, -1), "pooling": "max", "training": {"class_weights": "balanced"}},
        {"pooling": "attention", "training": {"schedule": "cosine", "warmup": 0.1}},
    ],
)
def test_a_head_learns_whatever_it_is_made_of(folder: Path, changes: dict[str, Any]) -> None:
    training = {**LONG, **changes.get("training", {})}
    settings = head_settings("sequence_classification", **{**changes, "training": training})
    fitted = fit(folder, settings)
    assert fitted.history[-1].train_loss < 0.5 * fitted.history[0].train_loss
    assert fitted.description["dev_score"] > 0.6


@EVERY_HEAD
def test_two_trainings_give_the_same_bytes(
    folder: Path, task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    predictions = []
    for name in ("one", "two"):
        torch.rand(7)  # whatever the caller did to the global generator
        fitted = fit(folder, head_settings(task, **changes))
        (tmp_path / name).mkdir()
        save_head(tmp_path / name, fitted.head, fitted.description)
        predictions.append(canonical_json(fitted.predictions["seed_5"]))
    for file in ("head.safetensors", "head.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert predictions[0] == predictions[1]


@EVERY_HEAD
def test_predictions_are_rows_that_evaluation_reads(
    folder: Path, task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    settings = head_settings(task, **changes)
    labels = read_labels(folder / "labels", settings.label)
    rows = fit(folder, settings).predictions["seed_5"]
    for name in ("dev", "test"):
        expected = [i for i, s in zip(labels.ids, labels.splits, strict=True) if s == name]
        assert [row["id"] for row in rows if row["split"] == name] == expected, "in corpus order"
    path = tmp_path / "seed_5.jsonl"
    path.write_text("".join(canonical_json(row) + "\n" for row in rows), encoding="utf-8")
    assert read_predictions(path, labels, label_type_of(settings))
    keys = {"class": "label", "classes": "labels", "number": "value"}.get(labels.kind, "tags")
    probabilities = set() if labels.kind == "number" else {"probabilities"}
    assert all(set(row) == {"id", "split", keys} | probabilities for row in rows)


@EVERY_HEAD
def test_the_dev_score_is_that_of_the_predictions_on_dev(
    folder: Path, task: str, changes: dict[str, Any]
) -> None:
    settings = head_settings(task, **changes)
    labels = read_labels(folder / "labels", settings.label)
    gold = [v for v, s in zip(labels.values, labels.splits, strict=True) if s == "dev"]
    fitted = fit(folder, settings)
    rows = [row for row in fitted.predictions["seed_5"] if row["split"] == "dev"]
    score = label_type_of(settings).dev_score(settings.training.metric, gold, rows)
    assert fitted.description["dev_score"] == score
    best = fitted.description["best_epoch"]
    assert fitted.history[best - 1].dev_score == score
    assert score == max(epoch.dev_score for epoch in fitted.history)


def test_of_several_seeds_all_predict_and_the_best_on_dev_is_kept(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task: str = "multilabel_classification"
    seeds = (5, 6, 7)
    with caplog.at_level(logging.INFO, logger="pipeline"):
        together = fit(folder, head_settings(task, training={"seeds": seeds}))
    logged = [line for line in caplog.messages if line.startswith("seed")]
    assert logged == ["seed 5", "seed 6", "seed 7"]
    alone = {seed: fit(folder, head_settings(task, training={"seeds": (seed,)})) for seed in seeds}
    assert len({canonical_json(one.predictions[f"seed_{s}"]) for s, one in alone.items()}) == len(
        seeds
    )
    expected = [alone[seed].predictions[f"seed_{seed}"] for seed in seeds]
    assert list(together.predictions) == [f"seed_{seed}" for seed in seeds]
    assert list(together.predictions.values()) == expected
    scores = {seed: one.description["dev_score"] for seed, one in alone.items()}
    best = max(seeds, key=lambda seed: (scores[seed], -seed))
    assert len(set(scores.values())) > 1
    kept = alone[best]
    assert together.description["seed"] == best
    assert together.history == kept.history
    settings = together.description["settings"]
    assert settings["training"]["seeds"] == list(seeds)
    assert {**together.description, "settings": {}} == {**kept.description, "settings": {}}
    for name, value in together.head.state_dict().items():
        assert torch.equal(value, kept.head.state_dict()[name])


def test_of_equal_seeds_the_first_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SingleLabel, "dev_score", lambda *_: 0.5)
    settings = head_settings("sequence_classification", training={"seeds": (9, 3), "epochs": 1})
    assert fit(folder, settings).description["seed"] == 9


def test_training_leaves_the_global_generator_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    fit(folder, head_settings("sequence_classification", training={"epochs": 1}))
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_HEAD
def test_a_saved_head_predicts_what_it_predicted(
    folder: Path, task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    settings = head_settings(
        task, layers=(2, -1), combine="mix", recurrent={"num_layers": 2}, **changes
    )
    fitted = fit(folder, settings)
    save_head(tmp_path, fitted.head, fitted.description)
    head, description = load_head(tmp_path, device=CPU)
    assert description == fitted.description
    assert description["layers"] == [2, 3]
    data = head_inputs(folder, settings).dataset
    states = MappedStates(open_features(folder / "features"), [2, 3])
    outputs = [evaluate(h, states, data.splits["test"], device=CPU)[0] for h in (head, fitted.head)]
    for one, other in zip(*outputs, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.best, other.best)


def test_the_description_says_what_the_head_is(folder: Path) -> None:
    settings = head_settings("multilabel_classification", layers=(2, -1))
    description = json.loads(json.dumps(fit(folder, settings).description))
    assert description["settings"] == json.loads(settings.model_dump_json())
    assert description["label_type"] == "multi_label"
    assert description["labels"] == ["beasts", "cold", "sky"]
    assert set(description["thresholds"]) == set(description["labels"])
    assert description["width"] == 64
    assert description["layers"] == [2, 3]
    assert (description["fold"], description["seed"]) == (None, 5)
    hidden, width = 16, 2 * 64
    recurrent = 2 * 4 * hidden * (width + hidden + 2)
    assert description["parameters"] == recurrent + (2 * hidden + 1) * 3


def test_only_several_classes_have_thresholds(folder: Path) -> None:
    for task in TASKS:
        thresholds = fit(folder, head_settings(task, training={"epochs": 1})).description[
            "thresholds"
        ]
        assert (thresholds is not None) == (task == "multilabel_classification")


def test_thresholds_are_what_predictions_go_by(folder: Path) -> None:
    fitted = fit(folder, head_settings("multilabel_classification"))
    thresholds = fitted.description["thresholds"]
    for row in fitted.predictions["seed_5"]:
        chosen = [n for n, p in row["probabilities"].items() if p >= thresholds[n]]
        assert row["labels"] == chosen


@pytest.mark.parametrize(
    ("layers", "combine", "learnt"),
    [
        ((-1,), "concat", False),
        ((2, -1), "concat", False),
        ((-1,), "mix", False),
        ((2, -1), "mix", True),
    ],
)
def test_the_share_of_each_layer_is_told(
    folder: Path, layers: tuple[int, ...], combine: str, learnt: bool
) -> None:
    shares = fit(folder, head_settings("regression", layers=layers, combine=combine)).layer_weights
    assert list(shares) == ([3] if layers == (-1,) else [2, 3])
    if learnt:
        assert sum(shares.values()) == pytest.approx(1)
        assert shares[2] != shares[3]
    else:
        assert set(shares.values()) == {1.0}


def short_training(
    folder: Path, scores: Callable[[], float], **training: Any
) -> tuple[list[Epoch], list[dict[str, torch.Tensor]], dict[str, torch.Tensor], list[float]]:
    """History, weights after each epoch and at the end, and losses of the steps."""
    settings = head_settings("sequence_classification", training=training)
    inputs = head_inputs(folder, settings)
    data, head = inputs.dataset, new_head(inputs)
    kept: list[dict[str, torch.Tensor]] = []
    steps: list[float] = []

    def remember(_: Epoch) -> None:
        kept.append({name: value.clone() for name, value in head.state_dict().items()})

    history = train(
        head,
        MappedStates(open_features(folder / "features"), [3]),
        train_split=data.splits["train"],
        dev_split=data.splits["dev"],
        dev_score=lambda _: scores(),
        settings=settings.training,
        seed=1,
        device=CPU,
        report=remember,
        on_step=steps.append,
    )
    return history, kept, head.state_dict(), steps


def test_the_best_epoch_is_kept_and_patience_ends_training(folder: Path) -> None:
    scores = iter([0.1, 0.9, 0.5, 0.9, 0.95])
    history, kept, final, _ = short_training(folder, lambda: next(scores), epochs=9, patience=2)
    assert len(history) == 4, "two epochs without a better score than the second"
    for name, value in final.items():
        assert torch.equal(value, kept[1][name])


def test_the_rate_falls_to_zero_in_a_corpus_of_blocks_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block ends in a short batch, so that there are more steps than were counted on."""
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def watching(self: torch.optim.AdamW, *arguments: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watching)
    monkeypatch.setattr(batches, "BLOCK_TOKENS", 100)
    monkeypatch.setattr(batches, "_STRETCH_TOKENS", 20)
    short_training(folder, lambda: 0.0, epochs=2, schedule="linear", warmup=0.1)
    assert len(rates) > 2 * -(-72 // 8)
    top = int(np.argmax(rates))
    assert 0 < rates[0] < rates[top] == 0.01
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == 0


def test_a_loss_that_is_no_number_stops_training(folder: Path) -> None:
    wild = {"learning_rate": 1e37, "gradient_clip": 1e37}
    with pytest.raises(TrainingError, match="lower learning_rate"):
        fit(folder, head_settings("sequence_classification", training=wild))


def test_weights_that_are_no_numbers_after_the_last_step_stop_training(folder: Path) -> None:
    wild = {"learning_rate": 3e38, "gradient_clip": 1e37, "batch_size": 1000, "epochs": 1}
    with pytest.raises(TrainingError, match="the loss on dev became nan in epoch 1; lower"):
        fit(folder, head_settings("sequence_classification", training=wild))


def test_a_layer_that_is_not_kept_is_named(folder: Path) -> None:
    with pytest.raises(StoreError, match="layer 1 is not kept"):
        fit(folder, head_settings("sequence_classification", layers=(1,)))


def test_damaged_features_stop_training(tiny_encoder: Path, tmp_path: Path) -> None:
    where = prepared(tmp_path)
    features = extracted(where, tiny_encoder)
    victim = min(features.rglob("layer_03.h5"))
    damaged = bytearray(victim.read_bytes())
    damaged[-5] ^= 4
    victim.unlink()
    victim.write_bytes(damaged)
    with pytest.raises(StoreError, match="is damaged"):
        fit(where, head_settings("sequence_classification"))


def test_training_does_not_import_transformers() -> None:
    code = "import stages.train, sys; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
