from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pipeline.training.checkpoint import load_head, save_head
from pipelines import extracted, head_settings, prepared

from pipeline.corpus.storage import read_labels
from pipeline.errors import StoreError, TrainingError
from pipeline.heads.tasks import Task
from pipeline.store.digests import Digests
from pipeline.store.reader import open_features
from pipeline.training.fit import FittedHead, fit_head, word_tags
from pipeline.training.loop import Epoch, predict
from pipeline.training.states import CachedStates

CPU = torch.device("cpu")
TASKS: list[Task] = ["sequence_classification", "token_classification"]


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("fit"))
    extracted(where, tiny_encoder)
    return where


def fit(folder: Path, task: Task, **changes: object) -> FittedHead:
    settings = head_settings(task, **changes)
    return fit_head(
        settings,
        read_labels(folder / "labels", settings.label),
        open_features(folder / "features"),
        digests=Digests(),
        device=CPU,
        say=str,
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_head_learns_what_its_words_tell(folder: Path, task: Task, cell: str) -> None:
    training = {"epochs": 20, "patience": 20}
    fitted = fit(folder, task, recurrent={"cell": cell}, training=training)
    assert fitted.history[-1].train_loss < 0.5 * fitted.history[0].train_loss
    assert fitted.description["dev_score"] > 0.6


@pytest.mark.parametrize("task", TASKS)
def test_two_trainings_give_the_same_bytes(folder: Path, task: Task, tmp_path: Path) -> None:
    for name in ("one", "two"):
        torch.rand(7)  # whatever the caller did to the global generator
        fitted = fit(folder, task)
        (tmp_path / name).mkdir()
        save_head(tmp_path / name, fitted.head, fitted.description)
    for file in ("head.safetensors", "head.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_another_seed_gives_another_head(folder: Path) -> None:
    one = fit(folder, "token_classification")
    two = fit(folder, "token_classification", training={"seed": 6})
    assert [e.train_loss for e in one.history] != [e.train_loss for e in two.history]


def test_training_leaves_the_global_generator_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    fit(folder, "sequence_classification")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("task", TASKS)
def test_a_saved_head_predicts_what_it_predicted(folder: Path, task: Task, tmp_path: Path) -> None:
    fitted = fit(folder, task, layers=(2, -1), recurrent={"num_layers": 2})
    save_head(tmp_path, fitted.head, fitted.description)
    head, description = load_head(tmp_path, device=CPU)
    assert description == fitted.description
    assert description["layers"] == [2, 3]
    tokens = torch.randn(30, description["input_size"])
    from pipeline.heads.packing import pack_batch

    batch = pack_batch([10, 20])
    assert torch.equal(head(tokens, batch), fitted.head.eval()(tokens, batch))


def test_predictions_cover_dev_and_test_in_corpus_order(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    fitted = fit(folder, "sequence_classification")
    for name in ("dev", "test"):
        expected = [i for i, s in zip(labels.ids, labels.splits, strict=True) if s == name]
        rows = [row for row in fitted.predictions if row["split"] == name]
        assert [row["id"] for row in rows] == expected
        for row in rows:
            assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
            assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)


def test_the_best_epoch_is_kept_and_patience_ends_training(folder: Path) -> None:
    from pipeline.training import loop
    from pipeline.training.examples import bring_together

    settings = head_settings("sequence_classification", training={"epochs": 9, "patience": 2})
    features = open_features(folder / "features")
    data = bring_together(
        read_labels(folder / "labels", "kind"), features, "sequence_classification"
    )
    states = CachedStates(features, [3], CPU)
    from pipeline.heads.model import Head

    head = Head(
        task="sequence_classification",
        input_size=states.width,
        labels=2,
        recurrent=settings.recurrent,
    )
    scores = iter([0.1, 0.9, 0.5, 0.9, 0.95])
    kept: list[dict[str, torch.Tensor]] = []

    def remember(epoch: Epoch) -> None:
        kept.append({name: value.clone() for name, value in head.state_dict().items()})

    history = loop.train(
        head,
        states,
        train_split=data.splits["train"],
        dev_split=data.splits["dev"],
        score=lambda _: next(scores),
        settings=settings.training,
        device=CPU,
        report=remember,
    )
    assert len(history) == 4, "two epochs without a better score than the second"
    for name, value in head.state_dict().items():
        assert torch.equal(value, kept[1][name])


def test_probabilities_do_not_depend_on_the_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.training import loop
    from pipeline.training.examples import bring_together

    features = open_features(folder / "features")
    data = bring_together(read_labels(folder / "labels", "tags"), features, "token_classification")
    states = CachedStates(features, [3], CPU)
    head = fit(folder, "token_classification").head
    results = []
    for size in (64, 5, 1):
        monkeypatch.setattr(loop, "SCORING_BATCH", size)
        results.append(predict(head, states, data.splits["dev"], device=CPU)[0])
    for one, five, sixty_four in zip(*results, strict=True):
        assert np.array_equal(one, five)
        assert np.array_equal(one, sixty_four)


def test_a_loss_that_is_no_number_stops_training(folder: Path) -> None:
    with pytest.raises(TrainingError, match="lower learning_rate"):
        fit(
            folder,
            "sequence_classification",
            training={"learning_rate": 1e37, "gradient_clip": 1e37},
        )


def test_a_layer_that_is_not_kept_is_named(folder: Path) -> None:
    with pytest.raises(StoreError, match="layer 1 is not kept"):
        fit(folder, "sequence_classification", layers=(1,))


def test_damaged_features_stop_training(tiny_encoder: Path, tmp_path: Path) -> None:
    where = prepared(tmp_path)
    features = extracted(where, tiny_encoder)
    victim = min(features.rglob("layer_03.h5"))
    damaged = bytearray(victim.read_bytes())
    damaged[-5] ^= 4
    victim.unlink()
    victim.write_bytes(damaged)
    with pytest.raises(StoreError, match="is damaged"):
        fit(where, "sequence_classification")


def test_words_without_a_token_have_no_prediction() -> None:
    probabilities = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    tags, confidences = word_tags(probabilities, np.array([1, -1, 2]), ["O", "B-x"])
    assert tags == ["O", None, "B-x"]
    assert confidences == [0.8, None, 0.7]


def test_training_does_not_import_transformers() -> None:
    code = "import stages.train, sys; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
