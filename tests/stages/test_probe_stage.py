"""The probe stage: its files, and what it depends on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from import_graph import imported_files, third_party
from pipelines import extracted, prepared

from stages.probe import main

PARAMS = """\
heads:
  kind: {label: kind, task: sequence_classification, layers: [-1], recurrent: {cell: gru}}
"""


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = prepared(tmp_path_factory.mktemp("probe"))
    extracted(where, tiny_encoder)
    (where / "params.yaml").write_text(PARAMS, encoding="utf-8")
    return where


def run(folder: Path, out: Path, head: str = "kind", *, store: Path | None = None) -> Result:
    return CliRunner().invoke(
        main,
        [
            head,
            *("--texts", str(folder / "texts")),
            *("--labels", str(folder / "labels")),
            *("--features", str(folder / "features")),
            *("--out", str(out)),
            *("--params", str(folder / "params.yaml")),
        ],
        env={"FEATURE_STORE": str(store or folder / "store")},
    )


def test_predictions_and_what_made_them_are_written(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path / "kind")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "kind").iterdir()} == {
        *("probe.json", "probe.jsonl", "tfidf.json", "tfidf.jsonl"),
    }
    described = json.loads((tmp_path / "kind" / "probe.json").read_text(encoding="utf-8"))
    assert described["labels"] == ["cold", "other"]
    assert described["layers"] == [3]
    for key in ("probe", "tfidf"):
        text = (tmp_path / "kind" / f"{key}.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        assert {row["split"] for row in rows} == {"dev", "test"}
    words, probe = result.output.splitlines()
    assert words.startswith("head kind: TF-IDF and logistic regression: l2 ")
    assert probe.startswith(f"head kind: linear probe: l2 {described['l2']:g}, dev score ")


def test_the_same_files_come_out_again(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run(folder, tmp_path / name, store=tmp_path / f"store {name}").exit_code == 0
    for name in ("probe.jsonl", "probe.json", "tfidf.jsonl", "tfidf.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_head_that_is_not_there_is_one_line(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path / "out", head="kinds")
    assert result.exit_code == 2
    assert "has no row 'kinds'; did you mean 'kind'?" in result.output
    assert not (tmp_path / "out").exists()


def test_neither_network_nor_encoder_makes_a_probe_stale() -> None:
    files = imported_files("stages.probe")
    names = ("inputs", "ragged", "targets", "tasks", "words")
    allowed = {f"pipeline/heads/{name}.py" for name in names}
    assert {path for path in files if path.startswith("pipeline/heads/")} <= allowed
    assert not [path for path in files if path.startswith("pipeline/encoder/")]
    assert "transformers" not in third_party("stages.probe")
