"""The evaluate stage: files in, files out, and one line for whoever gave it the wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stages.evaluate import main

ROWS = [("a", "train"), ("b", "train"), ("c", "dev"), ("d", "dev"), ("e", "test"), ("f", "test")]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def prepare(folder: Path, kind: str, gold: list[Any], rows: list[dict[str, Any]]) -> None:
    """A corpus whose label column ``topic`` has these values, and two seeds' predictions."""
    write_lines(folder / "texts" / "texts.jsonl", [{"id": i, "text": f"Text {i}"} for i, _ in ROWS])
    write_lines(
        folder / "labels" / "labels.jsonl",
        [
            {"id": row_id, "split": split, "labels": {"topic": value}}
            for (row_id, split), value in zip(ROWS, gold, strict=True)
        ],
    )
    meta = {"texts_sha256": "digest", "kinds": {"topic": kind}}
    (folder / "labels" / "labels.json").write_text(json.dumps(meta), encoding="utf-8")
    predicted = [
        {"id": row_id, "split": split, **row}
        for (row_id, split), row in zip(ROWS[2:], rows, strict=True)
    ]
    for seed in (13, 14):
        write_lines(folder / "model" / "predictions" / f"seed_{seed}.jsonl", predicted)
    write_lines(folder / "rivals" / "probe.jsonl", predicted)
    (folder / "rivals" / "probe.json").write_text('{"name": "linear probe"}', encoding="utf-8")
    write_head(folder / "model" / "head.json", seed=14, kind=kind)


def write_head(
    path: Path, *, seed: int | None, fold: int | None = None, kind: str = "class"
) -> None:
    settings = {"label": "topic", "training": {"seeds": [13, 14]}}
    head = {"fold": fold, "seed": seed, "kind": kind, "settings": settings}
    path.write_text(json.dumps(head), encoding="utf-8")


def sure(label: str) -> dict[str, Any]:
    return {"label": label, "probabilities": {"x": 0.9, "y": 0.1}}


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    prepare(tmp_path, "class", list("xxxyxy"), [sure("x")] * 4)
    return tmp_path


def run(folder: Path, *more: str) -> Result:
    options = {
        "texts": "texts",
        "labels": "labels",
        "head": "model/head.json",
        "predictions": "model/predictions",
        "metrics": "out/metrics.json",
        "confusion": "out/confusion.csv",
        "calibration": "out/calibration.csv",
        "mistakes": "out/mistakes.jsonl",
    }
    given = [word for name, path in options.items() for word in (f"--{name}", str(folder / path))]
    return CliRunner().invoke(main, ["news_topic", *given, *more])


def test_all_files_are_written(classes: Path) -> None:
    result = run(classes, "--rivals", str(classes / "rivals"))
    assert result.exit_code == 0, result.output
    out = classes / "out"
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics) == ["seed", "dev", "test", "runs", "inputs"]
    assert metrics["seed"] == 14
    assert metrics["test"]["accuracy"] == metrics["test"]["probe"]["accuracy"] == 0.5
    assert (out / "confusion.csv").read_text(encoding="utf-8") == "actual,predicted\nx,x\ny,x\n"
    assert (out / "calibration.csv").read_text(encoding="utf-8") == (
        "confidence,accuracy,texts\n0.9,0.5,2\n"
    )
    mistakes = (out / "mistakes.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in mistakes] == ["d", "f"]
    lines = result.output.splitlines()
    assert lines[0].startswith("head news_topic: dev: accuracy 0.500 [")
    assert lines[2].startswith("head news_topic:   linear probe: accuracy 0.500, margin +0.000 [")


def test_numbers_are_scored_without_a_calibration(tmp_path: Path) -> None:
    guesses = [{"value": value} for value in (1.0, 2.0, 3.0, 5.0)]
    prepare(tmp_path, "number", [1.0, 2.0, 1.0, 2.5, 3.0, 4.0], guesses)
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    assert (out / "confusion.csv").read_text(encoding="utf-8") == (
        "actual,predicted\n3.0,3.0\n4.0,5.0\n"
    )
    assert (out / "calibration.csv").read_text(encoding="utf-8") == "confidence,accuracy,texts\n"


def test_the_same_files_come_out_again(classes: Path) -> None:
    run(classes)
    first = {path.name: path.read_bytes() for path in (classes / "out").iterdir()}
    run(classes)
    assert {path.name: path.read_bytes() for path in (classes / "out").iterdir()} == first


def test_a_head_that_names_no_run_is_refused(classes: Path) -> None:
    head = classes / "model" / "head.json"
    for seed, fold in ((None, None), (15, None), (14, 1)):
        write_head(head, seed=seed, fold=fold)
        result = run(classes)
        assert result.exit_code == 2
        assert result.output == f"error: {head}: names no run of the head; run `dvc repro`\n"
    for text in ("{}", "[]", "half", '{"fold": null, "seed": 14}'):
        head.write_text(text, encoding="utf-8")
        result = run(classes)
        assert result.exit_code == 2
        assert (
            result.output == f"error: {head}: is damaged, or of another version; run `dvc repro`\n"
        )
    head.unlink()
    assert run(classes).output == f"error: {head}: no such file; run `dvc repro`\n"


def test_predictions_that_are_not_there_are_one_line(classes: Path) -> None:
    missing = classes / "model" / "predictions" / "seed_14.jsonl"
    missing.unlink()
    result = run(classes)
    assert result.exit_code == 2
    assert result.output == f"error: {missing}: no such file; run `dvc repro`\n"


def test_rivals_that_are_not_there_or_damaged_are_one_line(classes: Path) -> None:
    result = run(classes, "--rivals", str(classes / "nowhere"))
    assert result.exit_code == 2
    assert result.output == f"error: {classes / 'nowhere'}: holds no rival; run `dvc repro`\n"
    described = classes / "rivals" / "probe.json"
    described.write_text("{}", encoding="utf-8")
    result = run(classes, "--rivals", str(classes / "rivals"))
    assert result.exit_code == 2
    assert result.output == (
        f"error: {described}: is damaged, or of another version; run `dvc repro`\n"
    )
    (classes / "rivals" / "probe.jsonl").unlink()
    described.write_text('{"name": "linear probe"}', encoding="utf-8")
    result = run(classes, "--rivals", str(classes / "rivals"))
    assert result.exit_code == 2
    assert "probe.jsonl: no such file; run `dvc repro`" in result.output
