"""Which of the project's modules a module imports, at any depth, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("icehouse", "pipeline", "stages")


def imported_files(module: str) -> set[str]:
    """Files of the project that ``module`` imports, itself included, as paths below the root.

    Imports inside functions count; imports for type checkers do not. The ``__init__.py`` of every
    package on the way counts, for importing a module runs them.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        module = waiting.pop()
        for path in _files(module):
            if str(path) not in seen:
                seen.add(str(path))
                waiting += _imports(ROOT / path)
    return seen


def room_of(file: str) -> str | None:
    """The room that a file of the project is in; ``None`` outside of all rooms."""
    parts = Path(file).parts
    return parts[1] if parts[0] == "pipeline" and len(parts) > 2 else None


def rooms_of_stage(name: str) -> set[str]:
    """Rooms that hold what a stage imports."""
    return {room for file in imported_files(f"stages.{name}") if (room := room_of(file))}


def direct_imports(file: Path) -> set[str]:
    """Files of the project that a file imports itself, as paths below the root."""
    return {str(path) for module in _imports(file) for path in _files(module)}


def third_party(module: str) -> set[str]:
    """Top-level packages outside of the project that ``module`` imports at any depth."""
    names: set[str] = set()
    for file in imported_files(module):
        names |= {name.split(".")[0] for name in _imports(ROOT / file)}
    return names - set(PACKAGES)


def _files(module: str) -> list[Path]:
    """What runs when a module is imported: its packages from the top, and its own file."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return []
    files = [Path(*parts[:end]) / "__init__.py" for end in range(1, len(parts) + 1)]
    files.append(Path(*parts).with_suffix(".py"))
    return [path for path in files if (ROOT / path).is_file()]


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # "from pipeline.store import layout" names a module; "import Task" of one does not.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        waiting.extend(ast.iter_child_nodes(node))
    return names
