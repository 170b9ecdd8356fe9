"""Predictions are whole and of the labels' own rows, or an error says what they lack, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus.storage import Labels
from pipeline.errors import DataError
from pipeline.evaluation.predictions import by_id, read_predictions, read_seeds

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
    found = read_predictions(write(tmp_path / "p.jsonl", rows(kind)[::-1]), labels(kind))
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
        by_id(found, labels("class"))


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
        by_id(rows(kind, **changes), labels(kind))


@pytest.mark.parametrize("kind", WHOLE)
def test_predictions_of_another_kind_are_refused(kind: str) -> None:
    other = "number" if kind in ("tags", "bio", "class", "classes") else "bio"
    with pytest.raises(DataError, match="has no"):
        by_id(rows(kind), labels(other))


def test_an_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with pytest.raises(DataError, match=r"p\.jsonl: no such file; run `dvc repro`"):
        read_predictions(path, labels("class"))
    write(path, rows("class"))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"id": "half')
    with pytest.raises(DataError, match=r"p\.jsonl:3: not JSON"):
        read_predictions(path, labels("class"))


def test_a_folder_holds_a_file_per_seed(tmp_path: Path) -> None:
    for seed in (20, 3, 100):
        write(tmp_path / f"seed_{seed}.jsonl", rows("class"))
    (tmp_path / "seed_x.jsonl").write_text("of no seed", encoding="utf-8")
    found = read_seeds(tmp_path, labels("class"), kept=20)
    assert list(found) == [3, 20, 100]
    assert found[3]["b"]["label"] == "x"


def test_a_kept_seed_without_a_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "seed_1.jsonl", rows("class"))
    with pytest.raises(DataError, match=r"seed_2\.jsonl: no such file; run `dvc repro`"):
        read_seeds(tmp_path, labels("class"), kept=2)
