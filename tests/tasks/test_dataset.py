from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import random_sentences
from pipelines import LABELS, extracted, head_settings, labelled, prepared

from pipeline.core.errors import DataError, StoreError, TrainingError
from pipeline.corpus.schemes import bioes_to_bio
from pipeline.corpus.storage import Labels, read_labels
from pipeline.features.reader import open_features
from pipeline.tasks.dataset import LabelledDataset, build_dataset
from pipeline.tasks.label_type import IGNORE
from pipeline.tasks.registry import default_label_type


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("examples"))
    extracted(where, tiny_encoder)
    return where


def together(
    folder: Path,
    task: str = "sequence_classification",
    labels: Labels | None = None,
    **changes: Any,
) -> LabelledDataset:
    settings = head_settings(task, **changes)
    labels = labels or read_labels(folder / "labels", settings.label)
    label_type = settings.label_type(labels.kind)
    return build_dataset(
        labels,
        open_features(folder / "features"),
        label_type,
    )


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["B-beast", "O"]),
        ({"scheme": "bioes"}, ["B-beast", "E-beast", "I-beast", "O", "S-beast"]),
        ({"label": "pos"}, ["letter", "word"]),
    ],
)
def test_every_tag_sits_on_the_tokens_of_its_word(
    tiny_encoder: Path, tmp_path: Path, changes: dict[str, Any], names: list[str]
) -> None:
    sentences = [(*words, "houses", "wolfs", "I") for words in random_sentences(60)]
    examples = labelled(sentences)
    if changes.get("scheme") == "bioes":
        whole = ("B-beast", "I-beast", "I-beast")
        examples = [
            replace(e, labels={**e.labels, "tags": (*e.labels["tags"][:-3], *whole)})
            for e in examples
        ]
    where = prepared(tmp_path, examples)
    features = open_features(extracted(where, tiny_encoder, max_length=60))
    data = together(where, "token_classification", **changes)
    word_index = features.per_token("word_index")
    assert data.names == names
    for split in data.splits.values():
        assert split.words is not None
        for member, row in enumerate(split.rows):
            index = word_index[features.row_offsets[row] : features.row_offsets[row + 1]]
            words, gold = split.words[member], split.gold[member]
            assert split.lengths[member] == len(index)
            for word in range(len(gold)):
                tokens = np.flatnonzero(index == word)
                assert words.first[word] == tokens[0]
                assert words.count[word] == len(tokens)
            learnt = [data.names[target] for target in split.targets[member]]
            if changes.get("scheme") == "bioes":
                assert learnt[-3:] == ["B-beast", "I-beast", "E-beast"]
                assert list(bioes_to_bio(learnt)) == list(gold)
            else:
                assert learnt == list(gold)


def test_examples_of_one_split_are_those_of_the_labels(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    features = open_features(folder / "features")
    data = together(folder)
    for name, split in data.splits.items():
        assert split.ids == [i for i, s in zip(labels.ids, labels.splits, strict=True) if s == name]
        assert [data.names[target[0]] for target in split.targets] == split.gold
        examples = [labels.ids.index(example) for example in split.ids]
        assert split.rows.tolist() == features.example_rows[examples].tolist()
        assert split.words is None


def test_labels_beyond_a_byte_keep_their_number(tiny_encoder: Path, tmp_path: Path) -> None:
    where = prepared(tmp_path, labelled(random_sentences(160)))
    extracted(where, tiny_encoder)
    labels = read_labels(where / "labels", "kind")
    names = [f"{number:04}" for number in range(160)]
    splits = ["dev", "test", *["train"] * 158]
    data = together(where, labels=replace(labels, values=names, splits=splits))
    assert len(data.names) > 128
    train = data.splits["train"]
    assert [data.names[target[0]] for target in train.targets] == train.gold
    assert {int(target[0]) for target in data.splits["dev"].targets} == {IGNORE}


def test_several_classes_are_a_row_of_zeros_and_ones(folder: Path) -> None:
    data = together(folder, "multilabel_classification")
    assert data.names == ["beasts", "cold", "sky"]
    for split in data.splits.values():
        for targets, gold in zip(split.targets, split.gold, strict=True):
            assert targets.shape == (1, 3)
            chosen = [name for name, has in zip(data.names, targets[0], strict=True) if has]
            assert chosen == list(gold)


def test_numbers_are_as_they_are_given(folder: Path) -> None:
    data = together(folder, "regression")
    assert data.names == []
    for split in data.splits.values():
        assert [target.tolist() for target in split.targets] == [[[value]] for value in split.gold]


def test_labels_of_other_texts_are_refused(folder: Path, tmp_path: Path) -> None:
    other = prepared(tmp_path, labelled(random_sentences(120, seed=9)))
    with pytest.raises(StoreError, match="features of other texts"):
        together(folder, labels=read_labels(other / "labels", "kind"))


def test_examples_in_another_order_are_refused(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    shifted = replace(labels, ids=[*labels.ids[1:], labels.ids[0]])
    with pytest.raises(StoreError, match="not those of the labels"):
        together(folder, labels=shifted)


def test_folds_are_not_a_division_into_train_dev_and_test(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    split = replace(labels, splits=[f"fold_{n % 3 + 1}" for n in range(len(labels.splits))])
    with pytest.raises(DataError, match=r"is in folds.*give it another 'split'"):
        together(folder, labels=split)


def test_a_tag_too_few_is_refused(folder: Path) -> None:
    labels = read_labels(folder / "labels", "tags")
    short = replace(labels, values=[labels.values[0][1:], *labels.values[1:]])
    with pytest.raises(DataError, match="'s0' has"):
        together(folder, "token_classification", short)


@pytest.mark.parametrize(
    ("task", "label", "message"),
    [
        ("sequence_classification", "tags", "holds 'bio', the task learns 'class'"),
        ("multilabel_classification", "kind", "holds 'class', the task learns 'classes'"),
        ("regression", "kinds", "holds 'classes', the task learns 'number'"),
        ("token_classification", "size", "holds 'number', the task learns 'tags' or 'bio'"),
    ],
)
def test_a_label_of_the_wrong_kind_is_refused(
    folder: Path, task: str, label: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        together(folder, task, read_labels(folder / "labels", label))


@pytest.mark.parametrize(
    ("task", "value", "only"),
    [
        ("sequence_classification", "cold", "'cold'"),
        ("multilabel_classification", ("cold",), "'cold'"),
        ("regression", 7.0, "7.0"),
    ],
)
def test_one_label_is_nothing_to_learn(folder: Path, task: str, value: object, only: str) -> None:
    labels = read_labels(folder / "labels", LABELS[task])
    same = replace(labels, values=[value] * len(labels.values))
    with pytest.raises(TrainingError, match="one label only") as caught:
        together(folder, task, same)
    assert only in str(caught.value)


def test_one_tag_is_nothing_to_learn(folder: Path) -> None:
    labels = read_labels(folder / "labels", "tags")
    same = replace(labels, values=[("O",) * len(tags) for tags in labels.values])
    with pytest.raises(TrainingError, match=r"one label only \('O'\)"):
        together(folder, "token_classification", same)


def test_an_empty_split_is_refused(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    empty = replace(labels, splits=["train" if name == "dev" else name for name in labels.splits])
    with pytest.raises(TrainingError, match="dev split is empty"):
        together(folder, labels=empty)


@pytest.mark.parametrize(
    ("task", "new", "unseen"),
    [
        ("sequence_classification", "new", 1),
        ("multilabel_classification", ("beasts", "new", "other"), 2),
        ("regression", 1e6, 0),
    ],
)
def test_labels_unseen_in_training_are_counted(
    folder: Path, task: str, new: object, unseen: int
) -> None:
    labels = read_labels(folder / "labels", LABELS[task])
    values = list(labels.values)
    values[labels.splits.index("test")] = new
    data = together(folder, task, replace(labels, values=values))
    assert "new" not in data.names
    assert data.report["test"]["labels_unseen_in_training"] == unseen
    assert data.report["train"]["labels_unseen_in_training"] == 0


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_every_tag_that_teaches_nothing_is_counted(folder: Path, scheme: str) -> None:
    """In training all entities have one word; in the test split one has two."""
    labels = read_labels(folder / "labels", "tags")
    place = next(
        row
        for row, (split, tags) in enumerate(zip(labels.splits, labels.values, strict=True))
        if split == "test" and len(tags) > 1
    )
    values = list(labels.values)
    values[place] = ("B-beast", "I-beast", *["O"] * (len(values[place]) - 2))
    changed = replace(labels, values=values)
    data = together(folder, "token_classification", changed, scheme=scheme)
    ignored = sum(int((t == IGNORE).sum()) for t in data.splits["test"].targets)
    assert ignored == (2 if scheme == "bioes" else 1)
    assert data.report["test"]["labels_unseen_in_training"] == ignored


def test_words_cut_off_by_truncation_are_counted_not_dropped(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    examples = labelled([*random_sentences(60, longest=10), ("wolf",) * 30])
    where = prepared(tmp_path, examples)
    extracted(where, tiny_encoder, max_length=12)
    data = together(where, "token_classification")
    assert sum(report["words_without_a_token"] for report in data.report.values()) == 20
    split = next(split for split in data.splits.values() if "s60" in split.ids)
    member = split.ids.index("s60")
    assert len(split.targets[member]) == 10
    assert len(split.gold[member]) == 30


def test_splits_that_are_not_asked_for_are_not_missed(folder: Path) -> None:
    labels = read_labels(folder / "labels", "kind")
    no_test = replace(labels, splits=["dev" if s == "test" else s for s in labels.splits])
    features = open_features(folder / "features")
    label_type = default_label_type(labels.kind)
    with pytest.raises(TrainingError, match="the test split is empty"):
        build_dataset(no_test, features, label_type)
    found = build_dataset(no_test, features, label_type, splits=("train", "dev"))
    assert list(found.splits) == list(found.report) == ["train", "dev"]
    assert len(found.splits["dev"]) == no_test.splits.count("dev")
