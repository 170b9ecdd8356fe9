"""Rooms: the folders of pipeline/, each of which DVC depends on as a whole."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from import_graph import PACKAGES, ROOT, direct_imports, room_of

ROOMS = (
    "core",
    "corpus",
    "ingest",
    "encoder",
    "features",
    "store",
    "extraction",
    "tasks",
    "heads",
    "training",
    "probes",
    "evaluation",
    "prediction",
    "report",
    "sweeps",
    "layer_study",
    "quick_look",
    "lineage",
    "setup",
    "project",
)
"""From the ground up: a room imports only rooms before it."""

FILES = sorted((ROOT / "pipeline").rglob("*.py"))


def test_every_folder_is_a_room_that_says_what_it_holds() -> None:
    folders = {path.parent.name for path in FILES if path.parent != ROOT / "pipeline"}
    assert folders == set(ROOMS)
    for room in ROOMS:
        module = ast.parse((ROOT / "pipeline" / room / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(module), room


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_downwards_only(room: str) -> None:
    below = {*ROOMS[: ROOMS.index(room) + 1], None}
    for path in (ROOT / "pipeline" / room).rglob("*.py"):
        found = {file: room_of(file) for file in direct_imports(path)}
        upwards = [file for file, other in found.items() if other not in below]
        assert not upwards, f"{path.relative_to(ROOT)} imports {upwards}"
        assert not [file for file in found if file.startswith("stages")], path


def test_stages_stand_on_rooms_and_icehouse_on_both() -> None:
    """What users import and call is on top, so that no stage runs anew when it changes."""
    for package, allowed in {
        "pipeline": {"pipeline"},
        "stages": {"pipeline", "stages"},
        "icehouse": {"pipeline", "stages", "icehouse"},
    }.items():
        paths = sorted((ROOT / package).rglob("*.py"))
        assert paths
        for path in paths:
            foreign = {file for file in direct_imports(path) if Path(file).parts[0] not in allowed}
            assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def test_modules_import_in_no_circle() -> None:
    graph = {
        str(path.relative_to(ROOT)): direct_imports(path) - {str(path.relative_to(ROOT))}
        for path in FILES
        if path.name != "__init__.py"
    }
    done: set[str] = set()

    def visit(file: str, way: tuple[str, ...]) -> None:
        assert file not in way, " imports ".join([*way[way.index(file) :], file])
        if file in graph and file not in done:
            for other in graph[file]:
                visit(other, (*way, file))
            done.add(file)

    for file in graph:
        visit(file, ())


@pytest.mark.parametrize("package", PACKAGES)
def test_what_runs_outside_of_rooms_decides_nothing(package: str) -> None:
    """No stage depends on these files, so they may neither compute nor set the environment."""
    path = ROOT / package / "__init__.py"
    assert "os.environ" not in path.read_text(encoding="utf-8")
    assert {room_of(file) for file in direct_imports(path)} <= {None}


def test_bits_are_decided_in_a_room_that_every_stage_depends_on() -> None:
    files = direct_imports(ROOT / "pipeline" / "core" / "__init__.py")
    assert "pipeline/core/process.py" in files
    setters = [path for path in FILES if "MKL_CBWR" in path.read_text(encoding="utf-8")]
    assert setters == [ROOT / "pipeline" / "core" / "process.py"]
