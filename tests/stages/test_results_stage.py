from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from import_graph import ROOT

from stages.results import main


def test_results_hold_a_row_per_head() -> None:
    reports = ROOT / "reports" / "heads"
    result = CliRunner().invoke(main, ["--reports", str(reports)])
    assert result.exit_code == 0
    heads = sorted(path.parent.name for path in reports.glob("*/metrics.json"))
    assert [line.split("`")[1] for line in result.output.splitlines()[2:]] == heads


def test_results_without_metrics_say_what_to_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--reports", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output == f"error: {tmp_path}: holds no metrics; run `dvc repro`\n"
