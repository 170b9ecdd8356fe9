"""The plotting library in the repository is that of its package."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from import_graph import ROOT

from stages.vega import main


def write(folder: Path) -> tuple[Path, Path]:
    script, template = folder / "vega.js", folder / "plots.html"
    result = CliRunner().invoke(main, ["--script", str(script), "--template", str(template)])
    assert result.exit_code == 0, result.output
    return script, template


def test_the_files_in_the_repository_are_what_the_package_gives(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    script, template = write(tmp_path)
    assert script.read_bytes() == (ROOT / "pipeline/report/assets/vega.js").read_bytes()
    assert template.read_bytes() == (ROOT / ".dvc/plots.html").read_bytes()


def test_the_library_names_its_licences_and_their_texts_lie_beside_it() -> None:
    assets = ROOT / "pipeline/report/assets"
    notice = (assets / "vega.js").read_text(encoding="utf-8").partition("*/")[0]
    assert notice.startswith("/*!")
    assert "BSD-3-Clause" in notice
    assert "pipeline/report/assets/LICENSE.vega.txt" in notice
    texts = (assets / "LICENSE.vega.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"(Vega[-\w]*) ([\d.]+\d)", notice):
        assert f"\n{name.lower()} {version}" in texts, (
            "its packages changed: look at their licences"
        )


def test_the_template_of_dvc_has_its_places_and_loads_nothing() -> None:
    template = (ROOT / ".dvc" / "plots.html").read_text(encoding="utf-8")
    assert template.count("{plot_divs}") == template.count("{refresh_tag}") == 1
    assert "{scripts}" not in template
    assert " src=" not in template.split("<script>")[0] + template.rsplit("</script>", 1)[1]


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    result = CliRunner().invoke(main, ["--script", str(tmp_path / "vega.js")])
    assert result.exit_code == 2
    assert result.output.endswith("`pip install vl-convert-python`\n")
