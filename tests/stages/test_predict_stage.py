from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pipelines import extracted, fit, head_settings, many_beasts, prepared

from pipeline.heads.checkpoint import save_head
from stages.predict import main


@pytest.fixture(scope="module")
def project(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepared(tmp_path_factory.mktemp("project"), many_beasts())
    extracted(folder, tiny_encoder, max_length=16)
    for name, task in (("topic", "sequence_classification"), ("beasts", "token_classification")):
        settings = head_settings(
            task, recurrent={"dropout": 0.0}, training={"epochs": 20, "patience": 20}
        )
        fitted = fit(folder, settings)
        (folder / "models" / name).mkdir(parents=True)
        save_head(folder / "models" / name, fitted.head, fitted.description)
    return folder


def run(project: Path, encoder: Path, *arguments: str, given: bytes = b"") -> Result:
    options = ["--models", str(project / "models"), "--encoder", str(encoder)]
    return CliRunner().invoke(main, [*arguments, *options], input=given)


def rows(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


def test_lines_of_standard_input_are_answered_in_order(project: Path, tiny_encoder: Path) -> None:
    result = run(project, tiny_encoder, "topic", given="the snow is cold\n\nthe sun é\n".encode())
    assert result.exit_code == 0, result.output
    answers = rows(result.stdout)
    assert [row["id"] for row in answers] == ["1", "2", "3"]
    assert all(set(row["probabilities"]) == {"cold", "other"} for row in answers)


def test_json_lines_go_into_a_file(project: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": "a", "text": "a wolf"}\n{"words": ["a", "fox"]}\n', encoding="utf-8")
    result = run(project, tiny_encoder, "beasts", str(source), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    first, second = rows(out.read_text(encoding="utf-8"))
    assert (first["id"], second["id"]) == ("a", "2")
    assert [entity["text"] for entity in first["entities"]] == ["wolf"]
    assert second["entities"][0]["first_word"] == 1


def test_the_form_may_be_said(project: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text('{"text": "snow"}\n', encoding="utf-8")
    as_text = run(project, tiny_encoder, "topic", str(source)).stdout
    as_rows = run(project, tiny_encoder, "topic", str(source), "--format", "jsonl").stdout
    alone = run(project, tiny_encoder, "topic", given=b"snow\n").stdout
    assert as_rows == alone != as_text


def test_texts_that_were_cut_are_counted(project: Path, tiny_encoder: Path) -> None:
    result = run(project, tiny_encoder, "topic", given=b"snow\n" + b"ice " * 40)
    assert result.stderr.startswith("1 texts were longer")


def test_a_problem_in_a_late_row_leaves_no_file(
    project: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "snow"}\n{"tekst": "ice"}\n', encoding="utf-8")
    result = run(project, tiny_encoder, "topic", str(source), "--out", str(out))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {source}:2: has neither 'text' nor 'words'")
    assert list(tmp_path.iterdir()) == [source]


def test_json_lines_that_are_read_as_text_are_told(project: Path, tiny_encoder: Path) -> None:
    told = "standard input: read as a text per line, but the first is a row of JSON Lines"
    for given, expected in ((b'{"text": "snow"}\n', True), (b'{"a": 1}\n[1]\n', False)):
        result = run(project, tiny_encoder, "topic", given=given)
        assert result.exit_code == 0
        assert result.stderr.startswith(told) == expected
    told_form = run(project, tiny_encoder, "topic", "--format", "jsonl", given=b'{"text": "a"}\n')
    assert told_form.stderr == ""


def test_a_pair_is_named_where_words_are_tagged(
    project: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its id, also in a later block than the first."""
    monkeypatch.setattr("stages.predict.BLOCK", 2)
    source = tmp_path / "in.jsonl"
    lines = ['{"text": "snow"}'] * 3 + ['{"id": "p", "text": "a", "text_b": "b"}']
    source.write_text("\n".join(lines), encoding="utf-8")
    result = run(project, tiny_encoder, "beasts", str(source))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {source}: text 'p': the head tags words")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nobody"], "no such file; run `dvc repro` or `dvc pull`"),
        (["topic", "nowhere.txt"], "nowhere.txt: cannot be read: No such file"),
    ],
)
def test_what_is_missing_is_one_line(
    arguments: list[str], problem: str, project: Path, tiny_encoder: Path
) -> None:
    result = run(project, tiny_encoder, *arguments)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert "Traceback" not in result.output


def test_the_encoder_is_that_of_the_heads_features(
    project: Path, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = (
        "features: {f: {corpus: c, encoder: tiny, layers: [-1], max_length: 16, "
        "long_texts: truncate, storage_dtype: float32, shard_tokens: 512}}\n"
    )
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    (tmp_path / "data" / "encoders").mkdir(parents=True)
    (tmp_path / "data" / "encoders" / "tiny").symlink_to(tiny_encoder)
    monkeypatch.chdir(tmp_path)
    options = ["topic", "--models", str(project / "models")]
    found = CliRunner().invoke(main, options, input=b"snow\n")
    assert found.stdout == run(project, tiny_encoder, "topic", given=b"snow\n").stdout
    (tmp_path / "params.yaml").write_text("features: {}\n", encoding="utf-8")
    result = CliRunner().invoke(main, options, input=b"snow\n")
    assert result.exit_code == 2
    assert "or name the encoder's folder with --encoder" in result.stderr
