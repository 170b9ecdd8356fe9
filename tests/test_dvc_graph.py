"""dvc.yaml says of each stage what the code says: its rooms, its rows, its safety."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from import_graph import ROOT, rooms_of_stage, third_party
from ruamel.yaml import YAML
from ruamel.yaml.main import CParser

from pipeline.probes.settings import ProbeSettings

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
DATA = ("params.yaml", "data/", "models/", "reports/", "studies", "${item.path}")

OPTIONAL = {"sweeps"}
"""Tables that no stage runs over."""


MOST_ROOMS = 7


def code_deps(stage: dict[str, Any]) -> list[str]:
    return [path for path in stage["deps"] if path.startswith(("pipeline", "stages"))]


def test_every_stage_family_runs_over_a_table_of_params() -> None:
    assert {name: f"${{{table}}}" for name, table in TABLES.items()} == {
        name: stage["foreach"] for name, stage in DVC["stages"].items() if name != "report"
    }
    assert {*TABLES.values(), "report"} == set(PARAMS) - OPTIONAL


@pytest.mark.parametrize("name", STAGES)
def test_code_deps_are_the_rooms_that_the_stage_imports_and_its_own_file(name: str) -> None:
    rooms = sorted(f"pipeline/{room}" for room in rooms_of_stage(name))
    expected = [*rooms, f"stages/{name}.py"]
    assert sorted(code_deps(STAGES[name])) == expected, "write these into dvc.yaml:\n" + "\n".join(
        f"        - {path}" for path in expected
    )
    assert len(rooms) <= MOST_ROOMS


def test_the_report_depends_on_the_rows_that_there_are_and_on_its_own_section() -> None:
    assert "params" not in STAGES["report"]
    assert "params.yaml" in STAGES["report"]["deps"]


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


@pytest.mark.parametrize("name", sorted({*TABLES} - {"evaluate"}))
def test_a_stage_depends_on_its_own_row_only(name: str) -> None:
    fields = tuple(sorted(ProbeSettings.model_fields)) if name == "probe" else ()
    row = f"{TABLES[name]}.${{key}}"
    assert STAGES[name]["params"] == ([f"{row}.{field}" for field in fields] or [row])


def test_evaluation_reads_what_head_json_says_and_depends_on_no_settings() -> None:
    assert "params" not in STAGES["evaluate"]
    assert "models/${key}/head.json" in STAGES["evaluate"]["deps"]


@pytest.mark.parametrize("name", STAGES)
def test_deps_are_code_or_data(name: str) -> None:
    code = code_deps(STAGES[name])
    assert all(path in code or path.startswith(DATA) for path in STAGES[name]["deps"])


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
    """Losses of label types, which evaluation has no use for, import it inside functions."""
    code = f"import sys, stages.{name}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize("name", STAGES)
def test_features_and_models_keep_the_run_cache(name: str) -> None:
    for out in STAGES[name].get("outs", []):
        assert isinstance(out, str), "persist and cache: false under outs defeat the run-cache"


def test_dvc_reads_yaml_by_the_c_library() -> None:
    """Every command reads dvc.lock, and in Python takes half as long again for it."""
    assert CParser is not None
    assert YAML(typ="safe").Parser is CParser
