"""Upstream of a file: the stages behind it, down to raw data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.lineage.lock_entries import Item, Stage


@dataclass(frozen=True)
class Upstream:
    """Stages, raw data and code that a file was made from.

    Attributes:
        stages: each after those whose outputs it reads; the stage that made the file comes last.
        raw: data that no stage makes and a ``.dvc`` file points to.
        code: other files that the stages read, in the main their modules.
    """

    stages: tuple[Stage, ...]
    raw: tuple[Item, ...]
    code: tuple[Item, ...]


def find_upstream(path: str, stages: Sequence[Stage], pointers: Iterable[Item]) -> Upstream:
    """Walks from a file up to raw data.

    Args:
        path: of the file or folder; it may be inside an output, or be raw data itself.
        stages: of one ``dvc.lock``.
        pointers: what ``.dvc`` files of the same commit point to.
    """
    pointed = tuple(pointers)
    seen: set[str] = set()
    ordered: list[Stage] = []
    raw: dict[str, Item] = {}
    code: dict[str, Item] = {}

    def visit(stage: Stage) -> None:
        if stage.name in seen:
            return
        seen.add(stage.name)
        for dep in stage.deps:
            makers = makers_of(dep.path, stages)
            for maker in makers:
                visit(maker)
            source = next((one for one in pointed if one.holds(dep.path)), None)
            if source is not None:
                raw[source.path] = source
            elif not makers:
                code[dep.path] = dep
        ordered.append(stage)

    for stage in makers_of(path, stages):
        visit(stage)
    if not ordered:
        raw = {one.path: one for one in pointed if one.holds(path)}
    return Upstream(tuple(ordered), tuple(raw.values()), tuple(code.values()))


def makers_of(path: str, stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """The stages whose outputs are at a path, around it, or inside it."""
    wanted = Item(path, "")
    return tuple(
        stage
        for stage in stages
        if any(out.holds(path) or wanted.holds(out.path) for out in stage.outs)
    )
