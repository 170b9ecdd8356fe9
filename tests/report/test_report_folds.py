"""The page shows a head in folds by what its runs said of rows that they did not see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from written import ROWS, gold, read_all, said, write_all, write_metrics

from pipeline.corpus.folds import by_fold
from pipeline.corpus.storage import read_labels, read_texts
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.predictions import read_runs, run_files
from pipeline.report.artefacts import HeadInput, Places
from pipeline.report.head_view import HeadView, head_view
from pipeline.tasks.registry import default_label_type


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def put_into_folds(places: Places) -> None:
    """Three folds, a seed, and answers on dev that are not those on test."""
    path = places.labels / "mail" / "labels.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    write_json_lines(path, [{**row, "split": f"fold_{n % 3 + 1}"} for n, row in enumerate(rows)])
    labels = read_labels(places.labels / "mail", "topic")
    files = run_files(places.models / "topic" / "predictions", labels, seeds=[13])
    seen = by_fold(labels)
    for run, file in files.items():
        found = [
            {"id": row_id, "split": split, **said("topic", row if split == "test" else row + 1)}
            for row, (row_id, split) in enumerate(
                zip(labels.ids, seen[run.fold].splits, strict=True)
            )
            if split != "train"
        ]
        write_json_lines(file, found)
    texts = [text for _, text in read_texts(places.texts / "mail")]
    kept = list(files)[1]
    label_type = default_label_type(labels.kind)
    runs = read_runs(files, labels, label_type)
    metrics = evaluate(label_type, labels, texts, runs, kept=kept).metrics
    head = places.models / "topic" / "head.json"
    description = json.loads(head.read_text(encoding="utf-8"))
    description["settings"]["training"]["seeds"] = [13]
    head.write_text(json.dumps({**description, "fold": 2}), encoding="utf-8")
    write_metrics(places, "topic", metrics)


@pytest.fixture
def shown(tmp_path: Path) -> tuple[HeadInput, HeadView]:
    places = write_all(tmp_path, ["topic"])
    put_into_folds(places)
    inputs = read_all(places, heads=["topic"])
    (head,) = inputs.heads
    return head, head_view(head, inputs.corpora[0].texts)


def test_every_row_is_an_example_of_test_as_the_run_that_tested_it_has_it(
    shown: tuple[HeadInput, HeadView],
) -> None:
    head, view = shown
    assert view.total == ROWS
    assert {row.split for row in view.rows} == {"test"}
    for row in view.rows:
        number = int(row.id.removeprefix("r"))
        assert row.predicted == (said("topic", number)["label"],)
        assert row.right == (said("topic", number)["label"] == gold("topic", number))
    wrong = sum(not row.right for row in view.rows)
    assert 1 - wrong / ROWS == pytest.approx(head.metrics["test"]["accuracy"])


def test_the_run_that_was_kept_is_named_and_marked(shown: tuple[HeadInput, HeadView]) -> None:
    _, view = shown
    assert dict(view.facts)["kept"] == "epoch 2, tested on fold 2, the best on dev"
    assert view.runs is not None
    names = [str(row[0]) for row in view.runs.rows]
    assert len(names) == 5
    assert ["kept" in name for name in names] == [False, True, False, False, False]


def test_all_files_of_predictions_are_accounted_for(shown: tuple[HeadInput, HeadView]) -> None:
    head, _ = shown
    files = {Path(path).name for path in head.digests}
    assert {"fold_1.jsonl", "fold_2.jsonl", "fold_3.jsonl"} <= files
