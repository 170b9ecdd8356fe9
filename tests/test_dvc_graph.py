"""dvc.yaml says of each stage what the code says: its modules, its rows, its safety."""

from __future__ import annotations

from typing import Any

import pytest
from import_graph import ROOT, imported_files, third_party
from ruamel.yaml import YAML
from ruamel.yaml.main import CParser

DVC = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = YAML(typ="safe").load((ROOT / "tests" / "params.yaml").read_text(encoding="utf-8"))
STAGES = {name: stage.get("do", stage) for name, stage in DVC["stages"].items()}
"""Of families, what each of them does; ``report`` is the one stage that is alone."""
TABLES = {
    "encoder": "encoders",
    "prepare": "corpora",
    "extract": "features",
    "train": "heads",
    "probe": "heads",
    "evaluate": "heads",
}
ASSETS = "pipeline/report/assets"
DATA = ("data/", "models/", "reports/", "studies", "${item.path}")


OPTIONAL = {"sweeps"}
"""Tables that no stage runs over."""


def code_deps(stage: dict[str, Any]) -> list[str]:
    return [path for path in stage["deps"] if path.endswith(".py")]


def test_every_stage_family_runs_over_a_table_of_params() -> None:
    assert {name: f"${{{table}}}" for name, table in TABLES.items()} == {
        name: stage["foreach"] for name, stage in DVC["stages"].items() if name != "report"
    }
    assert {*TABLES.values(), "report"} == set(PARAMS) - OPTIONAL


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_the_modules_that_the_stage_imports(name: str) -> None:
    expected = sorted(imported_files(f"stages.{name}"))
    assert code_deps(STAGES[name]) == expected, "write these into dvc.yaml:\n" + "\n".join(
        f"        - {path}" for path in expected
    )


def test_the_report_depends_on_the_rows_that_there_are_and_on_its_own_section() -> None:
    assert STAGES["report"]["params"] == ["corpora", "features", "heads", "report"]


def test_the_report_depends_on_the_files_that_its_page_is_made_of() -> None:
    assets = sorted(path.name for path in (ROOT / ASSETS).iterdir())
    assert [path for path in STAGES["report"]["deps"] if path.startswith(ASSETS)] == [
        f"{ASSETS}/{name}" for name in assets
    ]


def test_folders_that_the_report_depends_on_hold_only_what_git_tracks() -> None:
    """A clone lacks what DVC tracks: a folder with any of it would seem changed there."""
    assert not any(path.startswith(("data", "models")) for path in STAGES["report"]["deps"])
    for name, stage in STAGES.items():
        kept = [path for path in stage.get("outs", []) if path.startswith("reports/")]
        assert all(
            not path.startswith(f"{folder}/")
            for path in kept
            for folder in STAGES["report"]["deps"]
        ), name


@pytest.mark.parametrize("name", TABLES)
def test_a_stage_depends_on_its_own_row_only(name: str) -> None:
    fields = ("corpus", "features", "label", "layers", "task") if name == "probe" else ()
    row = f"{TABLES[name]}.${{key}}"
    assert STAGES[name]["params"] == ([f"{row}.{field}" for field in fields] or [row])


@pytest.mark.parametrize("name", STAGES)
def test_deps_name_files_and_rows_but_never_folders_of_code(name: str) -> None:
    for path in STAGES[name]["deps"]:
        assert path.endswith(".py") or path.startswith((*DATA, ASSETS))


def test_extraction_never_depends_on_labels_heads_or_training() -> None:
    deps = " ".join(STAGES["extract"]["deps"])
    for word in ("labels", "heads", "training", "evaluation"):
        assert word not in deps


@pytest.mark.parametrize("name", ["train", "evaluate", "prepare"])
def test_only_extraction_imports_transformers(name: str) -> None:
    assert "transformers" in third_party("stages.extract")
    assert "transformers" not in third_party(f"stages.{name}")


@pytest.mark.parametrize("name", ["evaluate", "prepare", "encoder", "samples", "report"])
def test_stages_that_need_no_torch_do_not_import_it(name: str) -> None:
    # pipeline.environment imports it inside functions, which these stages have no use for.
    assert "torch" in third_party("stages.train")
    assert "torch" not in third_party(f"stages.{name}")


@pytest.mark.parametrize("name", STAGES)
def test_features_and_models_keep_the_run_cache(name: str) -> None:
    for out in STAGES[name].get("outs", []):
        assert isinstance(out, str), "persist and cache: false under outs defeat the run-cache"


def test_dvc_reads_yaml_by_the_c_library() -> None:
    """Every command reads dvc.lock, and in Python takes half as long again for it."""
    assert CParser is not None
    assert YAML(typ="safe").Parser is CParser
