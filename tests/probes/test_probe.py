"""The probe learns what a linear model can, from every kind of label, and always the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import random_sentences
from pipelines import extracted, labelled, prepared
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from pipeline.core.errors import DataError, StoreError, TrainingError
from pipeline.core.files import canonical_json
from pipeline.corpus.folds import Run, by_fold
from pipeline.corpus.storage import Labels, read_labels, read_texts
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import by_id
from pipeline.features.hash_cache import HashCache
from pipeline.features.reader import open_features
from pipeline.probes import rows
from pipeline.probes.fitted import FittedRival
from pipeline.probes.probe import fit_probe
from pipeline.probes.settings import ProbeSettings
from pipeline.tasks.registry import default_label_type

BEASTS = {"wolf", "bear", "fox"}
COLD = {"ice", "snow", "winter", "cold"}
TASKS: dict[str, str] = {
    "class": "sequence_classification",
    "classes": "multilabel_classification",
    "number": "regression",
    "tags": "token_classification",
    "bio": "token_classification",
}


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("probe"), labelled(random_sentences(300)))
    extracted(where, tiny_encoder)
    return where


def label_values(words: tuple[str, ...]) -> dict[str, Any]:
    """Labels of every kind that follow from the words."""
    cold, beasts = COLD & set(words), [word in BEASTS for word in words]
    return {
        "class": "cold" if cold else "other",
        "classes": tuple(
            name for name, there in (("beast", any(beasts)), ("cold", bool(cold))) if there
        ),
        "number": float(len(words)),
        "tags": tuple("BEAST" if beast else "WORD" for beast in beasts),
        "bio": tuple("B-beast" if beast else "O" for beast in beasts),
    }


def labels_of(folder: Path, kind: str) -> Labels:
    column = read_labels(folder / "labels", "kind")
    values = [label_values(tuple(text))[kind] for _, text in read_texts(folder / "texts")]
    return dataclasses.replace(column, values=values, kind=kind)


def fitted(
    folder: Path,
    kind: str,
    *,
    layers: tuple[int, ...] = (-1,),
    change: Callable[[Labels], Labels] = lambda labels: labels,
    **options: Any,
) -> FittedRival:
    return fit_probe(
        ProbeSettings(label="any", task=TASKS[kind], layers=layers),
        change(labels_of(folder, kind)),
        open_features(folder / "features"),
        hash_cache=HashCache(),
        **options,
    )


@pytest.mark.parametrize("kind", TASKS)
def test_predictions_are_those_of_dev_and_test_and_better_than_the_baseline(
    folder: Path, kind: str
) -> None:
    found = fitted(folder, kind)
    labels = labels_of(folder, kind)
    predictions = by_id(found.predictions, labels, default_label_type(kind))
    assert [row["split"] for row in found.predictions] == [
        *["dev"] * labels.splits.count("dev"),
        *["test"] * labels.splits.count("test"),
    ]
    texts = [text for _, text in read_texts(folder / "texts")]
    test = evaluate(
        default_label_type(kind), labels, texts, {Run(None, 0): predictions}, kept=Run(None, 0)
    ).metrics["test"]
    assert found.description["converged"]
    if kind == "number":
        assert test["spearman"] > 0.5
        assert test["baseline"]["margin"]["rmse"] > 0
    elif kind in ("class", "classes"):
        assert min(test["baseline"]["margin"].values()) > 0
    else:
        # A word tells its tag by itself: its most frequent tag is hard to beat.
        score = "word_accuracy" if kind == "tags" else "entity_f1"
        assert test[score] > 0.9


@pytest.mark.parametrize("kind", TASKS)
def test_the_same_labels_give_the_same_bytes(folder: Path, kind: str) -> None:
    a, b = fitted(folder, kind), fitted(folder, kind)
    assert canonical_json(a.predictions) == canonical_json(b.predictions)
    assert canonical_json(a.description) == canonical_json(b.description)


def test_classes_are_those_of_a_logistic_regression_on_mean_states(folder: Path) -> None:
    found = fitted(folder, "class", layers=(2, -1), tolerance=1e-9)
    features, labels = open_features(folder / "features"), labels_of(folder, "class")
    means = np.stack(
        [
            np.concatenate(
                [features.states(row, layer=layer).mean(0, np.float64) for layer in (2, 3)]
            )
            for row in labels.ids
        ]
    )
    train = np.array([split == "train" for split in labels.splits])
    standard = StandardScaler().fit(means[train]).transform(means)
    # Of two classes, a softmax has two opposite halves of a sigmoid's weights: half the penalty.
    strength = 2 / (train.sum() * found.description["l2"])
    oracle = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000)
    oracle.fit(standard[train], np.array(labels.values)[train])
    row_of = {row_id: place for place, row_id in enumerate(labels.ids)}
    for row in found.predictions:
        (expected,) = oracle.predict_proba(standard[[row_of[row["id"]]]])
        shares = [row["probabilities"][name] for name in oracle.classes_]
        assert shares == pytest.approx(expected, abs=2e-3)
        assert row["label"] == oracle.classes_[expected.argmax()]


@pytest.mark.parametrize("kind", TASKS)
def test_the_chosen_penalty_is_the_best_on_dev_and_so_are_its_predictions(
    folder: Path, kind: str
) -> None:
    found = fitted(folder, kind)
    described, labels = found.description, labels_of(folder, kind)
    best = max(described["dev_scores"].values())
    assert described["dev_scores"][f"{described['l2']:g}"] == best
    label_type = default_label_type(kind)
    gold = [v for v, split in zip(labels.values, labels.splits, strict=True) if split == "dev"]
    dev = [row for row in found.predictions if row["split"] == "dev"]
    assert label_type.dev_score(label_type.probe_metric, gold, dev) == pytest.approx(best)


@pytest.mark.parametrize("kind", ["class", "bio"])
def test_an_early_end_costs_next_to_nothing(folder: Path, kind: str) -> None:
    quick, exact = fitted(folder, kind), fitted(folder, kind, tolerance=1e-7)
    best = [max(one.description["dev_scores"].values()) for one in (quick, exact)]
    assert best[0] == pytest.approx(best[1], abs=0.02)


def test_words_that_fill_many_blocks_are_fitted_alike(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(folder, "tags", tolerance=1e-7)
    monkeypatch.setattr(rows, "_NUMBERS_AT_ONCE", 1 << 10)
    blocks = fitted(folder, "tags", tolerance=1e-7)
    for a, b in zip(whole.predictions, blocks.predictions, strict=True):
        assert b["probabilities"] == pytest.approx(a["probabilities"], abs=0.01)


def test_words_without_a_token_have_no_prediction(tiny_encoder: Path, tmp_path: Path) -> None:
    long = [
        dataclasses.replace(example, id=f"long {number}")
        for number, example in enumerate(labelled([("wolf", "the") * 15] * 8))
    ]
    where = prepared(tmp_path, [*labelled(random_sentences(60, longest=10)), *long])
    extracted(where, tiny_encoder, max_length=12)
    rows = [row for row in fitted(where, "bio").predictions if row["id"].startswith("long")]
    assert rows
    for row in rows:
        assert len(row["tags"]) == 30
        assert row["tags"][10:] == row["probabilities"][10:] == [None] * 20
        assert None not in row["tags"][:10]


@pytest.mark.parametrize("kind", ["class", "classes"])
def test_labels_that_training_never_saw_are_never_predicted(folder: Path, kind: str) -> None:
    def with_a_new_one(labels: Labels) -> Labels:
        new: Any = "new" if kind == "class" else ("new",)
        values = [
            new if split == "test" else value
            for value, split in zip(labels.values, labels.splits, strict=True)
        ]
        return dataclasses.replace(labels, values=values)

    found = fitted(folder, kind, change=with_a_new_one)
    assert "new" not in found.description["labels"]
    assert all("new" not in row["probabilities"] for row in found.predictions)


def test_numbers_that_are_all_equal_on_dev_have_no_score_to_choose_by(folder: Path) -> None:
    def constant(labels: Labels) -> Labels:
        values = [
            1.0 if split == "dev" else value
            for value, split in zip(labels.values, labels.splits, strict=True)
        ]
        return dataclasses.replace(labels, values=values)

    found = fitted(folder, "number", change=constant)
    assert set(found.description["dev_scores"].values()) == {0.0}
    assert found.description["l2"] == 0.01


def test_several_labels_have_thresholds_of_dev_as_heads_have(folder: Path) -> None:
    found = fitted(folder, "classes")
    labels = labels_of(folder, "classes")
    thresholds = found.description["thresholds"]
    assert set(thresholds) == {"beast", "cold"}
    for row in found.predictions:
        expected = [
            name for name, value in row["probabilities"].items() if value >= thresholds[name]
        ]
        assert row["labels"] == expected
    dev = [row for row in found.predictions if row["split"] == "dev"]
    golds = [value for value, own in zip(labels.values, labels.splits, strict=True) if own == "dev"]
    for name, threshold in thresholds.items():
        gold = [name in value for value in golds]
        shares = [row["probabilities"][name] for row in dev]

        def f1(limit: float, gold: list[bool] = gold, shares: list[float] = shares) -> float:
            return f1_score(gold, [share >= limit for share in shares], zero_division=0.0)

        assert f1(threshold) == max(map(f1, shares))


def test_a_layer_that_is_not_kept_is_refused(folder: Path) -> None:
    with pytest.raises(StoreError, match="layer 1 is not kept"):
        fitted(folder, "class", layers=(1,))


def test_a_layer_that_is_named_from_both_ends_is_refused(folder: Path) -> None:
    with pytest.raises(TrainingError, match="layers: -1 is layer 3, which is named already"):
        fitted(folder, "class", layers=(3, -1))


def test_a_label_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="learns 'class'"):
        fitted(folder, "class", change=lambda labels: dataclasses.replace(labels, kind="bio"))


def test_one_class_is_nothing_to_learn(folder: Path) -> None:
    def same(labels: Labels) -> Labels:
        return dataclasses.replace(labels, values=["x"] * len(labels.values))

    with pytest.raises(TrainingError, match="one label only"):
        fitted(folder, "class", change=same)


@pytest.mark.parametrize("kind", TASKS)
def test_in_folds_every_row_is_predicted_by_the_fit_that_did_not_see_it(
    folder: Path, kind: str
) -> None:
    def in_folds(labels: Labels) -> Labels:
        splits = [f"fold_{n % 3 + 1}" for n in range(len(labels.splits))]
        return dataclasses.replace(labels, splits=splits)

    found = fitted(folder, kind, change=in_folds)
    again = fitted(folder, kind, change=in_folds)
    assert canonical_json(found.predictions) == canonical_json(again.predictions)
    expected: list[dict[str, Any]] = []
    assert list(found.description["folds"]) == ["fold_1", "fold_2", "fold_3"]
    for fold, seen in by_fold(in_folds(labels_of(folder, kind))).items():
        alone = fitted(folder, kind, change=lambda _, seen=seen: seen)
        expected += alone.predictions
        own = found.description["folds"][f"fold_{fold}"]
        assert own.items() <= alone.description.items()
        assert set(alone.description) - set(own) == {
            *("name", "task", "layers", "texts_sha256", "recipe")
        }
    assert found.predictions == expected
    ids = labels_of(folder, kind).ids
    for split in ("dev", "test"):
        assert sorted(r["id"] for r in found.predictions if r["split"] == split) == sorted(ids)
