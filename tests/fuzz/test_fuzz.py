"""A few wrong inputs for every reader, always the same, and all cases that fuzzing ever found."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from execution import Case, Guard, Workspace
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from readers import CASES, Reader, draw_case, kept_cases, readers, run_case
from world import build, has_parquet

NAMES = (
    *("jsonl", "csv", "tsv", "conll", "conllu", "lines", "folder"),
    *("parquet", "init", "params", "prepared", "manifest", "shards", "train", "heads", "reports"),
    *("encoder", "predict", "dvc", "lineage", "store", "sweeps"),
)
EXAMPLES = int(os.environ.get("ICEHOUSE_FUZZ_EXAMPLES", "10"))
"""Inputs of each reader; ``make fuzz`` runs for minutes."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that all readers read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FEATURE_STORE", raising=False)
        patch.delenv("DVC_ROOT", raising=False)
        return build(tmp_path_factory.mktemp("fuzz") / "world")


@pytest.fixture(scope="module")
def guard() -> Guard:
    """The one hook of this process."""
    return Guard()


@pytest.fixture(params=NAMES, scope="module")
def prepared(
    request: pytest.FixtureRequest,
    world: Path,
    tmp_path_factory: pytest.TempPathFactory,
    guard: Guard,
) -> Iterator[tuple[Reader, Workspace, Guard]]:
    """A reader, with files of its own; each of its choices has run on right files."""
    if request.param == "parquet" and not has_parquet():
        pytest.skip("pyarrow is not installed")
    reader = readers(world)[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "tmp").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FEATURE_STORE", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        for name in ("HOME", "HF_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(folder / "home"))
        patch.setattr("execution.SECONDS", 60)  # other tests run beside these
        patch.setattr(tempfile, "tempdir", str(folder / "tmp"))
        workspace = Workspace(folder, world, reader.needs)
        for choice in reader.choices:
            outcome = run_case(reader, workspace, Case(reader.name, choice, {}), guard)
            assert outcome.accepted, outcome
        yield reader, workspace, guard
        workspace.close()


def test_wrong_files_are_accepted_or_told_in_a_line(
    prepared: tuple[Reader, Workspace, Guard],
) -> None:
    reader, workspace, guard = prepared

    @settings(
        max_examples=max(2, EXAMPLES // (4 if reader.slow else 1)),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(random=st.randoms(use_true_random=False))
    def examples(random: Random) -> None:
        case = draw_case(reader, workspace, random)
        finding = run_case(reader, workspace, case, guard).finding
        assert finding is None, f"{finding.signature}\n{finding.detail}\n{case}"[:5000]

    examples()


def test_what_was_found_once_is_found_no_more(prepared: tuple[Reader, Workspace, Guard]) -> None:
    reader, workspace, guard = prepared
    for name, case in kept_cases(reader.name).items():
        finding = run_case(reader, workspace, case, guard).finding
        assert finding is None, f"{name}: {finding.signature}\n{finding.detail}"


def test_every_case_has_a_reader() -> None:
    assert {folder.name for folder in CASES.iterdir() if folder.is_dir()} <= set(NAMES)
