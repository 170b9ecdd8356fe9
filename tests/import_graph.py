"""Which of the project's modules a module imports, at any depth, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipeline", "stages")


def imported_files(module: str) -> set[str]:
    """Files of the project that ``module`` imports, itself included, as paths below the root.

    Imports inside functions count; imports for type checkers do not. Of packages, only modules
    count: what an ``__init__.py`` holds here computes nothing.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        path = _file(waiting.pop())
        if path is None or str(path) in seen:
            continue
        seen.add(str(path))
        waiting += _imports(ROOT / path)
    return seen


def third_party(module: str) -> set[str]:
    """Top-level packages outside of the project that ``module`` imports at any depth."""
    names: set[str] = set()
    for file in imported_files(module):
        names |= {name.split(".")[0] for name in _imports(ROOT / file)}
    return names - set(PACKAGES)


def _file(module: str) -> Path | None:
    if module.split(".", maxsplit=1)[0] not in PACKAGES:
        return None
    path = Path(*module.split(".")).with_suffix(".py")
    return path if (ROOT / path).is_file() else None


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
