"""A head in folds: every row is tested once, by a training that did not see it."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_sentences
from pipelines import extracted, fit, head_settings, labelled, prepared

from pipeline.core.errors import DataError
from pipeline.core.files import canonical_json
from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import Labels, read_labels, read_texts
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.heads.settings import HeadSettings
from pipeline.tasks.single_label import SingleLabel
from pipeline.training import fit as fitting
from pipeline.training.fit import FittedHead, fit_head
from pipeline.training.gpu_states import TrainingSources
from pipeline.training.loop import train

FOLDS = 4
CLASSES = head_settings("sequence_classification")


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus in folds, with texts that are there more than once."""
    sentences = random_sentences(80)
    where = tmp_path_factory.mktemp("folds")
    prepared(where, labelled([*sentences, *sentences[:20], *sentences[5:15]]), folds=FOLDS)
    extracted(where, tiny_encoder)
    return where


def labels_of(folder: Path, settings: HeadSettings = CLASSES) -> Labels:
    return read_labels(folder / "labels", settings.label)


def fit_on(folder: Path, labels: Labels, settings: HeadSettings = CLASSES) -> FittedHead:
    return fit_head(
        settings,
        labels,
        open_features(folder / "features"),
        hash_cache=HashCache(),
        device=torch.device("cpu"),
    )


TASKS: list[tuple[str, dict[str, Any]]] = [
    ("sequence_classification", {}),
    ("multilabel_classification", {}),
    ("regression", {}),
    ("token_classification", {}),
    ("token_classification", {"label": "pos"}),
]


@pytest.mark.parametrize(("task", "changes"), TASKS)
def test_every_row_is_in_test_once_and_in_dev_once(
    folder: Path, task: str, changes: dict[str, Any]
) -> None:
    settings = head_settings(task, training={"epochs": 1}, **changes)
    labels = labels_of(folder, settings)
    predictions = fit(folder, settings).predictions
    assert list(predictions) == [f"fold_{fold}" for fold in range(1, FOLDS + 1)]
    for split in ("dev", "test"):
        rows = [row["id"] for rows in predictions.values() for row in rows if row["split"] == split]
        assert sorted(rows) == sorted(labels.ids)
    for name, rows in predictions.items():
        tested = [i for i, own in zip(labels.ids, labels.splits, strict=True) if own == name]
        assert [row["id"] for row in rows if row["split"] == "test"] == tested


def test_no_text_of_a_test_fold_is_learnt_from_or_chosen_by(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saw: list[tuple[set[str], set[str]]] = []

    def watching(*arguments: Any, **options: Any) -> Any:
        saw.append((set(options["train_split"].ids), set(options["dev_split"].ids)))
        return train(*arguments, **options)

    monkeypatch.setattr(fitting, "train", watching)
    predictions = fit(folder, CLASSES).predictions
    text_of = dict(read_texts(folder / "texts"))
    repeated = len(text_of) - len(set(text_of.values()))
    assert repeated >= 30
    assert len(saw) == FOLDS
    for rows, (learnt, chosen_by) in zip(predictions.values(), saw, strict=True):
        tested = {row["id"] for row in rows if row["split"] == "test"}
        assert chosen_by == {row["id"] for row in rows if row["split"] == "dev"}
        assert learnt | chosen_by | tested == set(text_of)
        texts = [{text_of[row_id] for row_id in ids} for ids in (learnt, chosen_by, tested)]
        assert not any(a & b for a, b in itertools.combinations(texts, 2))


def test_a_fold_is_trained_as_if_it_were_the_only_division(folder: Path) -> None:
    labels = labels_of(folder)
    together = fit(folder, CLASSES)
    for fold, seen in by_fold(labels).items():
        alone = fit_on(folder, seen)
        assert together.predictions[f"fold_{fold}"] == alone.predictions["seed_5"]
        if together.description["fold"] == fold:
            assert together.description == {**alone.description, "fold": fold}
            assert together.history == alone.history


def test_two_trainings_give_the_same_bytes(folder: Path) -> None:
    one, two = fit(folder, CLASSES), fit(folder, CLASSES)
    assert canonical_json(one.predictions) == canonical_json(two.predictions)
    assert canonical_json(one.description) == canonical_json(two.description)
    weights = two.head.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in one.head.state_dict().items())


def test_folds_and_seeds_have_a_training_each_and_the_best_on_dev_is_kept(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = head_settings("sequence_classification", training={"seeds": (5, 6)})
    with caplog.at_level(logging.INFO, logger="pipeline"):
        fitted = fit(folder, settings)
    names = [f"fold_{fold}_seed_{seed}" for fold in range(1, FOLDS + 1) for seed in (5, 6)]
    assert list(fitted.predictions) == names
    assert [line for line in caplog.messages if line.startswith("fold")] == [
        name.replace("_", " ") for name in names
    ]
    alone = {
        (fold, seed): fit_on(
            folder, seen, head_settings("sequence_classification", training={"seeds": (seed,)})
        )
        for fold, seen in by_fold(labels_of(folder)).items()
        for seed in (5, 6)
    }
    scores = {run: one.description["dev_score"] for run, one in alone.items()}
    best = next(run for run, score in scores.items() if score == max(scores.values()))
    assert (fitted.description["fold"], fitted.description["seed"]) == best
    for name, value in fitted.head.state_dict().items():
        assert torch.equal(value, alone[best].head.state_dict()[name])


def test_of_equal_runs_the_first_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SingleLabel, "dev_score", lambda *_: 0.5)
    settings = head_settings("sequence_classification", training={"seeds": (9, 3), "epochs": 1})
    description = fit(folder, settings).description
    assert (description["fold"], description["seed"]) == (1, 9)


def test_states_are_opened_once_for_all_folds(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    original = TrainingSources.open

    def counting(*arguments: Any) -> Any:
        opened.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(TrainingSources, "open", counting)
    fit(folder, CLASSES)
    assert len(opened) == 1


def test_two_folds_are_too_few(folder: Path) -> None:
    labels = labels_of(folder)
    halved = replace(labels, splits=[f"fold_{n % 2 + 1}" for n in range(len(labels.splits))])
    with pytest.raises(DataError, match="has 2 folds, a head needs 3 or more"):
        fit_on(folder, halved)
