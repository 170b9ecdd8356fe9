"""Every fold is tested once, and is not seen by whatever it tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import DataError
from pipeline.corpus.folds import Run, by_fold, require_splits, run_names
from pipeline.corpus.storage import Labels
from pipeline.ingest.prepare import prepare
from pipeline.ingest.rows import Example
from pipeline.ingest.settings import CorpusSettings, SplitSettings


def labels(splits: list[str]) -> Labels:
    ids = [f"row {n}" for n in range(len(splits))]
    return Labels(ids, splits, [f"value {n}" for n in range(len(splits))], "class", "digest")


def test_each_fold_is_tested_and_the_next_one_is_dev() -> None:
    seen = by_fold(labels(["fold_2", "fold_1", "fold_3", "fold_4", "fold_1"]))
    assert {fold: own.splits for fold, own in seen.items()} == {
        1: ["dev", "test", "train", "train", "test"],
        2: ["test", "train", "dev", "train", "train"],
        3: ["train", "train", "test", "dev", "train"],
        4: ["train", "dev", "train", "test", "dev"],
    }


def test_all_but_the_splits_stays_as_it_is() -> None:
    column = labels(["fold_3", "fold_1", "fold_2"])
    for own in by_fold(column).values():
        assert (own.ids, own.values, own.kind, own.texts_sha256) == (
            column.ids,
            column.values,
            "class",
            "digest",
        )


def test_labels_without_folds_are_seen_as_they_are() -> None:
    column = labels(["train", "dev", "test"])
    assert by_fold(column) == {None: column}


def test_fewer_than_three_folds_are_one_line_that_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"has 2 folds, a head needs 3 or more.*raise 'folds'"):
        by_fold(labels(["fold_1", "fold_2"]))


def test_what_needs_one_division_refuses_folds() -> None:
    require_splits(labels(["train", "dev", "test"]))
    with pytest.raises(DataError, match=r"is in folds.*give it another 'split'"):
        require_splits(labels(["fold_1", "fold_2", "fold_3"]))


@given(
    st.integers(3, 12).flatmap(
        lambda k: st.lists(st.integers(1, k), min_size=k).map(lambda own: [*range(1, k + 1), *own])
    )
)
def test_every_row_is_tested_once_chosen_by_once_and_learnt_from_by_all_others(
    numbers: list[int],
) -> None:
    seen = by_fold(labels([f"fold_{number}" for number in numbers]))
    count = max(numbers)
    assert list(seen) == list(range(1, count + 1))
    for row, number in enumerate(numbers):
        found = [own.splits[row] for own in seen.values()]
        assert found[number - 1] == "test"
        assert found[number - 2] == "dev"
        assert found.count("train") == count - 2


def test_equal_texts_are_never_in_training_and_in_test() -> None:
    examples = [
        Example(f"row {n}", f"text {n % 40}", {"topic": "xyz"[n % 3]}, n + 1) for n in range(120)
    ]
    settings = CorpusSettings(
        path="raw",
        format="jsonl",
        id="id",
        text="text",
        labels={"topic": "class"},
        split=SplitSettings(folds=4),
        stratify="topic",
        seed=3,
    )
    for own in by_fold(labels(list(prepare(examples, settings).splits))).values():
        texts = {
            name: {e.text for e, split in zip(examples, own.splits, strict=True) if split == name}
            for name in ("train", "dev", "test")
        }
        assert all(texts.values())
        assert not texts["train"] & (texts["dev"] | texts["test"])
        assert not texts["dev"] & texts["test"]


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        ([Run(None, 13)], ["seed_13"]),
        ([Run(None, 13), Run(None, 4)], ["seed_13", "seed_4"]),
        ([Run(1, 13), Run(2, 13)], ["fold_1", "fold_2"]),
        ([Run(1, 13), Run(1, 4)], ["fold_1_seed_13", "fold_1_seed_4"]),
    ],
)
def test_runs_are_named_by_what_tells_them_apart(runs: list[Run], names: list[str]) -> None:
    assert run_names(runs) == dict(zip(runs, names, strict=True))
