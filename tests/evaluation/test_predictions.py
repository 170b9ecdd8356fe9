"""Predictions are whole and of the labels' own rows, or an error says what they lack, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import DataError
from pipeline.corpus.folds import Run, by_fold
from pipeline.corpus.storage import Labels
from pipeline.evaluation.predictions import (
    by_id,
    out_of_fold,
    read_fold_predictions,
    read_predictions,
    read_runs,
    run_files,
)
from pipeline.tasks.registry import default_label_type

IDS, SPLITS = ["a", "b", "c"], ["train", "dev", "test"]
VALUES: dict[str, list[Any]] = {
    "class": ["x", "x", "y"],
    "classes": [("x",), (), ("y",)],
    "number": [1.0, 2.0, 3.0],
    "tags": [("N",), ("N", "V"), ("V",)],
    "bio": [("O",), ("B-x", "O"), ("O",)],
}
WHOLE: dict[str, Any] = {
    "class": {"label": "x", "probabilities": {"x": 0.6, "y": 0.4}},
    "classes": {"labels": ["x"], "probabilities": {"x": 0.6, "y": 0.4}},
    "number": {"value": 2},
    "tags": {"tags": ["N", None], "probabilities": [0.5, None]},
    "bio": {"tags": ["O", None], "probabilities": [0.5, None]},
}


SINGLE = default_label_type("class")


def labels(kind: str) -> Labels:
    return Labels(IDS, SPLITS, VALUES[kind], kind, "digest")


def rows(kind: str, **changes: Any) -> list[dict[str, Any]]:
    words = {
        key: value[:1] if kind in ("tags", "bio") else value for key, value in WHOLE[kind].items()
    }
    return [
        {"id": "b", "split": "dev", **WHOLE[kind], **changes},
        {"id": "c", "split": "test", **words},
    ]


def write(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_predictions_are_read_by_id(kind: str, tmp_path: Path) -> None:
    found = read_predictions(
        write(tmp_path / "p.jsonl", rows(kind)[::-1]), labels(kind), default_label_type(kind)
    )
    assert set(found) == {"b", "c"}
    assert found["b"] == rows(kind)[0]


@pytest.mark.parametrize(
    "ids",
    [[], ["b"], ["b", "c", "a"], ["b", "c", "elsewhere"], ["b", "elsewhere"], ["b", "c", "c"]],
    ids=["none", "one absent", "one of train", "one of nowhere", "one exchanged", "one twice"],
)
def test_predictions_of_other_rows_are_refused(ids: list[str]) -> None:
    found = [{"id": row_id, **WHOLE["class"]} for row_id in ids]
    with pytest.raises(DataError, match="not of the labels' dev and test rows; run `dvc repro`"):
        by_id(found, labels("class"), default_label_type("class"))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("class", {"label": "z"}),
        ("classes", {"labels": ["z"]}),
        ("number", {"value": float("nan")}),
        ("number", {"value": None}),
        ("tags", {"tags": ["N"]}),
        ("bio", {"tags": ["O", "O", "O"]}),
        ("bio", {"probabilities": [0.5]}),
    ],
)
def test_a_prediction_that_lacks_something_is_named(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"the prediction of 'b' has no .*; run `dvc repro`"):
        by_id(rows(kind, **changes), labels(kind), default_label_type(kind))


@pytest.mark.parametrize("kind", WHOLE)
def test_predictions_of_another_kind_are_refused(kind: str) -> None:
    other = "number" if kind in ("tags", "bio", "class", "classes") else "bio"
    with pytest.raises(DataError, match="has no"):
        by_id(rows(kind), labels(other), default_label_type(other))


def test_an_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with pytest.raises(DataError, match=r"p\.jsonl: no such file; run `dvc repro`"):
        read_predictions(path, labels("class"), SINGLE)
    write(path, rows("class"))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"id": "half')
    with pytest.raises(DataError, match=r"p\.jsonl:3: not JSON"):
        read_predictions(path, labels("class"), SINGLE)


def read_all(folder: Path, column: Labels, *, seeds: tuple[int, ...]) -> dict[Run, Any]:
    return read_runs(run_files(folder, column, seeds=seeds), column, SINGLE)


def test_a_head_has_a_file_per_seed(tmp_path: Path) -> None:
    for seed in (20, 3, 100):
        write(tmp_path / f"seed_{seed}.jsonl", rows("class"))
    found = read_all(tmp_path, labels("class"), seeds=(20, 3, 100))
    assert list(found) == [Run(None, 3), Run(None, 20), Run(None, 100)]
    assert found[Run(None, 3)]["b"]["label"] == "x"
    with pytest.raises(DataError, match=r"seed_4\.jsonl: no such file; run `dvc repro`"):
        read_all(tmp_path, labels("class"), seeds=(3, 4))


FOLDS = Labels(["a", "b", "c"], ["fold_1", "fold_2", "fold_3"], ["x", "x", "y"], "class", "digest")
DEV_AND_TEST = {1: ("b", "a"), 2: ("c", "b"), 3: ("a", "c")}


def of_fold(fold: int, label: str = "x") -> list[dict[str, Any]]:
    """The predictions of a fold's run, a label of its own for dev."""
    dev, test = DEV_AND_TEST[fold]
    own = {"label": label, "probabilities": {"x": 0.6, "y": 0.4}}
    return [{"id": dev, "split": "dev", **own}, {"id": test, "split": "test", **own}]


def test_in_folds_there_is_a_file_per_fold_whose_rows_are_those_that_its_run_saw(
    tmp_path: Path,
) -> None:
    for fold in DEV_AND_TEST:
        write(tmp_path / f"fold_{fold}.jsonl", of_fold(fold))
    found = read_all(tmp_path, FOLDS, seeds=(7,))
    assert list(found) == [Run(1, 7), Run(2, 7), Run(3, 7)]
    assert [set(rows) for rows in found.values()] == [{"a", "b"}, {"b", "c"}, {"c", "a"}]
    with pytest.raises(DataError, match=r"fold_1_seed_7\.jsonl: no such file; run `dvc repro`"):
        read_all(tmp_path, FOLDS, seeds=(7, 8))
    write(tmp_path / "fold_2.jsonl", of_fold(1))
    with pytest.raises(DataError, match=r"fold_2\.jsonl: not of the labels' dev and test rows"):
        read_all(tmp_path, FOLDS, seeds=(7,))


def test_folds_and_seeds_have_a_file_each(tmp_path: Path) -> None:
    for fold in DEV_AND_TEST:
        for seed in (7, 8):
            write(tmp_path / f"fold_{fold}_seed_{seed}.jsonl", of_fold(fold))
    found = read_all(tmp_path, FOLDS, seeds=(8, 7))
    assert list(found) == [Run(fold, seed) for fold in (1, 2, 3) for seed in (7, 8)]


def test_a_rival_has_the_rows_of_all_folds_in_one_file(tmp_path: Path) -> None:
    written = [row for fold in DEV_AND_TEST for row in of_fold(fold, "xyx"[fold - 1])]
    path = write(tmp_path / "p.jsonl", written[::-1])
    found = read_fold_predictions(path, FOLDS, SINGLE)
    for fold, (dev, test) in DEV_AND_TEST.items():
        assert {row_id: row["split"] for row_id, row in found[fold].items()} == {
            dev: "dev",
            test: "test",
        }
        assert {row["label"] for row in found[fold].values()} == {"xyx"[fold - 1]}
    for wrong in (written[:-1], [*written, written[0]]):
        with pytest.raises(DataError, match=r"p\.jsonl: not of the labels' dev and test rows"):
            read_fold_predictions(write(path, wrong), FOLDS, SINGLE)


def test_a_rival_without_folds_is_one_division(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", rows("class"))
    assert read_fold_predictions(path, labels("class"), SINGLE) == {
        None: read_predictions(path, labels("class"), SINGLE)
    }


def test_out_of_fold_every_row_is_as_the_run_that_tested_it_predicted_it() -> None:
    seen = by_fold(FOLDS)
    folds = {fold: by_id(of_fold(fold, "xyx"[fold - 1]), seen[fold], SINGLE) for fold in (1, 2, 3)}
    tested, found = out_of_fold(FOLDS, folds)
    assert tested.splits == ["test"] * 3
    assert (tested.ids, tested.values) == (FOLDS.ids, FOLDS.values)
    assert {row_id: (row["split"], row["label"]) for row_id, row in found.items()} == {
        "a": ("test", "x"),
        "b": ("test", "y"),
        "c": ("test", "x"),
    }


def test_without_folds_labels_and_predictions_are_as_they_are() -> None:
    column, found = (
        labels("class"),
        by_id(rows("class"), labels("class"), default_label_type("class")),
    )
    assert out_of_fold(column, {None: found}) == (column, found)
