"""The report stage: files in, one page out, one line for whoever lacks a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from import_graph import ROOT

from stages.report import main

sys.path.insert(0, str(ROOT / "tests" / "report"))

from written import write_all

HEADS = ("topic", "names")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Runs the stage on two heads, with a section ``report`` of one's own."""
    places = write_all(tmp_path, HEADS)

    def invoke(report: object = {"texts": True}, heads: tuple[str, ...] = HEADS) -> Result:
        params = {
            "corpora": {"mail": {}, "chat": {}},
            "features": {"mail": {}},
            "heads": {name: {} for name in heads},
            "report": report,
        }
        path = tmp_path / "params.yaml"
        path.write_text(json.dumps(params), encoding="utf-8")
        folders = [
            word
            for name in ("texts", "labels", "models", "reports", "studies")
            for word in (f"--{name}", str(getattr(places, name)))
        ]
        out = str(tmp_path / "out" / "index.html")
        return CliRunner().invoke(main, [*folders, "--out", out, "--params", str(path)])

    return invoke


def page_of(folder: Path) -> str:
    return (folder / "out" / "index.html").read_text(encoding="utf-8")


def test_the_page_is_written(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert "2 heads); open it in a browser" in result.output
    assert "York" in page_of(tmp_path)
    assert run({"texts": False}).exit_code == 0
    assert "York" not in page_of(tmp_path)


def test_a_head_that_params_no_longer_name_is_not_shown(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    assert run(heads=("names",)).exit_code == 0
    assert 'id="head-names"' in page_of(tmp_path)
    assert 'id="head-topic"' not in page_of(tmp_path)


def test_there_need_be_no_studies(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "studies").rename(tmp_path / "elsewhere")
    assert run().exit_code == 0
    assert "Studies" not in page_of(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "text/mail/texts.jsonl",
        "labels/chat/labels.json",
        "models/names/head.json",
        "models/topic/predictions/seed_13.jsonl",
        "reports/corpora/chat.json",
        "reports/features/mail.json",
        "reports/heads/names/metrics.json",
        "reports/heads/names/history.csv",
    ],
)
def test_a_file_that_is_missing_is_one_line(
    run: Callable[..., Result], tmp_path: Path, path: str
) -> None:
    (tmp_path / path).unlink()
    result = run()
    assert result.exit_code == 2
    assert result.output.startswith(f"error: {tmp_path / path}: no such file; run `dvc ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("text/mail/texts.jsonl", "ice", "snow"),
        ("labels/chat/labels.jsonl", '"O"', '"B-place"'),
        ("models/names/head.json", "1234", "1235"),
        ("models/topic/predictions/seed_13.jsonl", "0.5", "0.4"),
    ],
)
def test_a_file_that_was_not_scored_is_one_line(
    run: Callable[..., Result], tmp_path: Path, path: str, before: str, after: str
) -> None:
    text = (tmp_path / path).read_text(encoding="utf-8")
    (tmp_path / path).write_text(text.replace(before, after), encoding="utf-8", newline="\n")
    result = run()
    assert result.exit_code == 2
    advice = "run `dvc repro` or `dvc checkout`"
    assert result.output == f"error: {tmp_path / path}: not the file that was scored; {advice}\n"


def test_a_head_of_another_version_is_one_line(run: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "models" / "names" / "head.json"
    line = f"error: {path}: is damaged, or of another version; run `dvc repro`\n"
    for text in ('{"settings": {}}', "{", "[]"):
        path.write_text(text, encoding="utf-8")
        assert run().output == line


def test_a_setting_that_is_none_is_one_line(run: Callable[..., Result]) -> None:
    assert "report.texts: input should be a valid boolean" in run({"texts": "yes"}).output
    assert run({"texts": True, "text": 1}).exit_code == 2
