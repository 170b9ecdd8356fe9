"""TF-IDF and a linear model read words alone, of every kind of label that texts have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import random_sentences
from pipelines import LABELS, extracted, labelled, prepared
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline.core.files import canonical_json
from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import Labels, read_labels, texts_of
from pipeline.corpus.texts import Text, TextPair
from pipeline.evaluation.predictions import by_id
from pipeline.features.reader import open_features
from pipeline.probes.fitted import FittedRival
from pipeline.probes.settings import ProbeSettings
from pipeline.probes.tfidf import Terms, fit_tfidf
from pipeline.tasks.registry import default_label_type

TASKS = [task for task in LABELS if task != "token_classification"]


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("tfidf"), labelled(random_sentences(300)))
    extracted(where, tiny_encoder)
    return where


def columns(folder: Path, task: str) -> tuple[Labels, list[Text]]:
    labels = read_labels(folder / "labels", LABELS[task])
    return labels, texts_of(folder / "texts", labels)


def fitted(folder: Path, task: str, labels: Labels, texts: list[Text]) -> FittedRival:
    found = fit_tfidf(
        ProbeSettings(label=LABELS[task], task=task, layers=(-1,)),  # type: ignore[arg-type]
        labels,
        open_features(folder / "features"),
        texts,
    )
    assert found is not None
    return found


@pytest.mark.parametrize("task", TASKS)
def test_labels_that_words_decide_are_learnt(folder: Path, task: str) -> None:
    labels, texts = columns(folder, task)
    found = fitted(folder, task, labels, texts)
    label_type = default_label_type(labels.kind)
    rows = by_id(found.predictions, labels, label_type)
    test = [n for n, split in enumerate(labels.splits) if split == "test"]
    gold = [labels.values[n] for n in test]
    own = [rows[labels.ids[n]] for n in test]
    baseline = label_type.baseline(texts, labels.values)
    score = label_type.dev_score(label_type.probe_metric, gold, own)
    trivial = label_type.dev_score(
        label_type.probe_metric, gold, [baseline.predict(texts[n]) for n in test]
    )
    assert score > trivial + 0.1
    regression = "ridge" if task == "regression" else "logistic"
    assert found.description["name"] == f"TF-IDF and {regression} regression"
    again = fitted(folder, task, labels, texts)
    assert canonical_json(again.predictions) == canonical_json(found.predictions)


def test_terms_are_those_of_the_training_texts_alone(folder: Path) -> None:
    labels, texts = columns(folder, "sequence_classification")
    changed: list[Text] = [
        ("zebra",) * 3 if split == "test" else text
        for text, split in zip(texts, labels.splits, strict=True)
    ]
    before = fitted(folder, "sequence_classification", labels, texts)
    after = fitted(folder, "sequence_classification", labels, changed)
    assert before.description == after.description
    test = [row for row in after.predictions if row["split"] == "test"]
    assert len({canonical_json(row["probabilities"]) for row in test}) == 1


def test_each_fold_has_a_fit_of_its_own(folder: Path) -> None:
    labels, texts = columns(folder, "sequence_classification")
    splits = [f"fold_{n % 3 + 1}" for n in range(len(labels.splits))]
    labels = dataclasses.replace(labels, splits=splits)
    found = fitted(folder, "sequence_classification", labels, texts)
    assert list(found.description["folds"]) == ["fold_1", "fold_2", "fold_3"]
    expected = [
        row
        for seen in by_fold(labels).values()
        for row in fitted(folder, "sequence_classification", seen, texts).predictions
    ]
    assert found.predictions == expected


def test_texts_that_share_no_word_have_no_rival(folder: Path) -> None:
    labels, texts = columns(folder, "sequence_classification")
    settings = ProbeSettings(label="kind", task="sequence_classification", layers=(-1,))
    alone: list[Text] = [f"word{n}" for n in range(len(texts))]
    features = open_features(folder / "features")
    assert fit_tfidf(settings, labels, features, alone) is None


def test_pairs_are_read_apart_and_joined() -> None:
    pairs: list[Text] = [
        TextPair("the cold ice", "the warm sun"),
        TextPair("the cold sun", "the cold sun"),
    ]
    terms = Terms.of(pairs)
    assert terms is not None
    oracle = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, dtype=np.float32)
    oracle.fit(["the cold ice", "the warm sun", "the cold sun", "the cold sun"])
    u = oracle.transform(["the cold ice", "the cold sun"]).toarray()
    v = oracle.transform(["the warm sun", "the cold sun"]).toarray()
    (block,) = terms.rows(pairs).map(lambda block, _: block)
    expected = np.concatenate([u, v, abs(u - v), u * v], axis=1)
    assert block.values.toarray() == pytest.approx(expected)
