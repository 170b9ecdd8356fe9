"""dvc.yaml says of each stage what the code says: its modules, its rows, its safety."""

from __future__ import annotations

from typing import Any

import pytest
from import_graph import ROOT, imported_files, third_party
from ruamel.yaml import YAML

DVC = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PARAMS = YAML(typ="safe").load((ROOT / "tests" / "params.yaml").read_text(encoding="utf-8"))
STAGES = {name: stage["do"] for name, stage in DVC["stages"].items()}
TABLES = {
    "encoder": "encoders",
    "prepare": "corpora",
    "extract": "features",
    "train": "heads",
    "probe": "heads",
    "evaluate": "heads",
}


OPTIONAL = {"sweeps"}
"""Tables that no stage runs over."""


def code_deps(stage: dict[str, Any]) -> list[str]:
    return [path for path in stage["deps"] if path.endswith(".py")]


def test_every_stage_family_runs_over_a_table_of_params() -> None:
    assert {name: f"${{{table}}}" for name, table in TABLES.items()} == {
        name: stage["foreach"] for name, stage in DVC["stages"].items()
    }
    assert set(TABLES.values()) == set(PARAMS) - OPTIONAL


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_the_modules_that_the_stage_imports(name: str) -> None:
    expected = sorted(imported_files(f"stages.{name}"))
    assert code_deps(STAGES[name]) == expected, "write these into dvc.yaml:\n" + "\n".join(
        f"        - {path}" for path in expected
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_its_own_row_only(name: str) -> None:
    fields = ("corpus", "features", "label", "layers", "task") if name == "probe" else ()
    row = f"{TABLES[name]}.${{key}}"
    assert STAGES[name]["params"] == ([f"{row}.{field}" for field in fields] or [row])


@pytest.mark.parametrize("name", STAGES)
def test_deps_name_files_and_rows_but_never_folders_of_code(name: str) -> None:
    for path in STAGES[name]["deps"]:
        assert path.endswith(".py") or path.startswith(("data/", "models/", "${item.path}"))


def test_extraction_never_depends_on_labels_heads_or_training() -> None:
    deps = " ".join(STAGES["extract"]["deps"])
    for word in ("labels", "heads", "training", "evaluation"):
        assert word not in deps


@pytest.mark.parametrize("name", ["train", "evaluate", "prepare"])
def test_only_extraction_imports_transformers(name: str) -> None:
    assert "transformers" in third_party("stages.extract")
    assert "transformers" not in third_party(f"stages.{name}")


@pytest.mark.parametrize("name", ["evaluate", "prepare", "encoder", "samples"])
def test_stages_that_need_no_torch_do_not_import_it(name: str) -> None:
    # pipeline.environment imports it inside functions, which these stages have no use for.
    assert "torch" in third_party("stages.train")
    assert "torch" not in third_party(f"stages.{name}")


@pytest.mark.parametrize("name", STAGES)
def test_features_and_models_keep_the_run_cache(name: str) -> None:
    for out in STAGES[name].get("outs", []):
        assert isinstance(out, str), "persist and cache: false under outs defeat the run-cache"
