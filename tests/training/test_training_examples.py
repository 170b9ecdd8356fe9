from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import random_sentences
from pipelines import extracted, labelled, prepared

from pipeline.corpus.records import Example
from pipeline.corpus.storage import read_labels
from pipeline.errors import DataError, StoreError, TrainingError
from pipeline.heads.targets import IGNORE
from pipeline.store.reader import open_features
from pipeline.training.examples import bring_together


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("examples"))
    extracted(where, tiny_encoder)
    return where


def test_every_label_sits_on_the_token_of_its_word(folder: Path) -> None:
    labels, features = read_labels(folder / "labels", "tags"), open_features(folder / "features")
    data = bring_together(labels, features, "token_classification")
    word_index = features.per_token("word_index")
    assert data.names == ["B-beast", "O"]
    for split in data.splits.values():
        for row, targets, gold in zip(split.rows, split.targets, split.gold, strict=True):
            words = word_index[features.row_offsets[row] : features.row_offsets[row + 1]]
            assert len(targets) == len(words)
            carried = np.flatnonzero(targets != IGNORE)
            assert words[carried].tolist() == list(range(len(gold)))
            assert [data.names[targets[token]] for token in carried] == list(gold)


def test_examples_of_one_split_are_those_of_the_labels(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    data = bring_together(labels, open_features(folder / "features"), "sequence_classification")
    for name, split in data.splits.items():
        assert split.ids == [i for i, s in zip(labels.ids, labels.splits, strict=True) if s == name]
        assert [data.names[target[0]] for target in split.targets] == split.gold


def test_labels_of_other_texts_are_refused(folder: Path, tmp_path: Path) -> None:
    other = prepared(tmp_path, labelled(random_sentences(120, seed=9)))
    with pytest.raises(StoreError, match="features of other texts"):
        bring_together(
            read_labels(other / "labels", "kind"),
            open_features(folder / "features"),
            "sequence_classification",
        )


def test_examples_in_another_order_are_refused(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    shifted = dataclasses.replace(labels, ids=[*labels.ids[1:], labels.ids[0]])
    with pytest.raises(StoreError, match="not those of the labels"):
        bring_together(shifted, open_features(folder / "features"), "sequence_classification")


def test_a_tag_too_few_is_refused(folder: Path) -> None:
    labels = read_labels(folder / "labels", "tags")
    short = dataclasses.replace(labels, values=[labels.values[0][1:], *labels.values[1:]])
    with pytest.raises(DataError, match="'s0' has"):
        bring_together(short, open_features(folder / "features"), "token_classification")


def test_a_label_of_the_wrong_kind_is_refused(folder: Path) -> None:
    labels = read_labels(folder / "labels", "tags")
    with pytest.raises(DataError, match="learns 'class'"):
        bring_together(labels, open_features(folder / "features"), "sequence_classification")


def test_one_label_is_nothing_to_learn(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    same = dataclasses.replace(labels, values=["cold"] * len(labels.values))
    with pytest.raises(TrainingError, match="one label only"):
        bring_together(same, open_features(folder / "features"), "sequence_classification")


def test_an_empty_split_is_refused(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    empty = dataclasses.replace(
        labels, splits=["train" if name == "dev" else name for name in labels.splits]
    )
    with pytest.raises(TrainingError, match="dev split is empty"):
        bring_together(empty, open_features(folder / "features"), "sequence_classification")


def test_labels_unseen_in_training_are_counted(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    test_row = labels.splits.index("test")
    values = list(labels.values)
    values[test_row] = "new"
    data = bring_together(
        dataclasses.replace(labels, values=values),
        open_features(folder / "features"),
        "sequence_classification",
    )
    assert "new" not in data.names
    assert data.report["test"]["labels_unseen_in_training"] == 1
    assert data.report["train"]["labels_unseen_in_training"] == 0


def test_words_cut_off_by_truncation_are_counted_not_dropped(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    examples = labelled(random_sentences(60, longest=10))
    long = Example("long", ("wolf",) * 30, {"kind": "other", "tags": ("B-beast",) * 30}, 1)
    where = prepared(tmp_path, [*examples, long])
    features = open_features(extracted(where, tiny_encoder, max_length=12))
    data = bring_together(read_labels(where / "labels", "tags"), features, "token_classification")
    assert sum(report["words_without_a_token"] for report in data.report.values()) == 20
    split = next(split for split in data.splits.values() if "long" in split.ids)
    member = split.ids.index("long")
    assert (split.targets[member] != IGNORE).sum() == 10
    assert len(split.gold[member]) == 30
