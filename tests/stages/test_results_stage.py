from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from stages.results import main


def write_metrics(folder: Path, head: str, **scores: Any) -> None:
    (folder / head).mkdir()
    text = json.dumps({"dev": scores, "test": scores})
    (folder / head / "metrics.json").write_text(text, encoding="utf-8")


def test_results_hold_a_row_per_head(tmp_path: Path) -> None:
    for head in ("topic", "queue"):
        write_metrics(tmp_path, head, accuracy=0.5, accuracy_low=0.4, accuracy_high=0.6)
    result = CliRunner().invoke(main, ["--reports", str(tmp_path)])
    assert result.exit_code == 0
    named = [line.split("`")[1] for line in result.output.splitlines() if "`" in line]
    assert named == ["queue", "topic"] * 2


def test_results_of_another_version_say_what_to_run(tmp_path: Path) -> None:
    write_metrics(tmp_path, "topic", accuracy=0.5)
    result = CliRunner().invoke(main, ["--reports", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output == (
        "error: the metrics of head 'topic' are of another version; run `dvc repro`\n"
    )


def test_results_without_metrics_say_what_to_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--reports", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output == f"error: {tmp_path}: holds no metrics; run `dvc repro`\n"
