"""A lineage in lines that a person reads, and the commands that make the file again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.files import canonical_json
from pipeline.lineage.git import Commit
from pipeline.lineage.lock_entries import Stage
from pipeline.lineage.trace import Lineage
from pipeline.lineage.versions import MATTER

_DIGITS = 12


@dataclass(frozen=True)
class Versions:
    """Versions that decided the bytes, besides code and data.

    Attributes:
        torch: that trained the head, as its description says.
        pinned: by the commit's lock file.
        encoders: a line for each.
    """

    torch: str | None
    pinned: Mapping[str, str]
    encoders: Sequence[str]


def describe(lineage: Lineage, versions: Versions) -> Iterator[str]:
    """Lines on where a content came from: all that is known."""
    place = lineage.place
    yield f"file      {place.path}"
    yield f"digest    {lineage.content.digest}"
    if place.inside is not None:
        yield f"in        {place.item.path}, {place.item.digest}"
    for other in lineage.others:
        yield f"also      {other.path}, {_maker(other.stage, other.pointer)}"
    yield f"made by   {_maker(place.stage, place.pointer)}"
    yield from _commits(lineage)
    yield from _versions(versions)
    if lineage.upstream.stages:
        yield ""
        yield "made from"
        for item in lineage.upstream.raw:
            yield f"  {item.path}  {item.digest[:_DIGITS]}, {lineage.pointers[item.path]}"
        for stage in lineage.upstream.stages:
            yield from _stage(stage, code={item.path for item in lineage.upstream.code})


def rebuild_commands(lineage: Lineage, *, root: Path, pull_from: Path | None) -> Iterator[str]:
    """The commands that make the content again.

    Args:
        lineage: of the content.
        root: the project's root.
        pull_from: DVC's cache, where there is no remote to pull from.
    """
    commit = lineage.commit.sha[:10]
    folder = f"../{root.name}-{commit}"
    yield f"git worktree add --detach {shlex.quote(folder)} {commit} && cd {shlex.quote(folder)}"
    yield "make setup && source .venv/bin/activate"
    pointers = sorted({lineage.pointers[item.path] for item in lineage.upstream.raw})
    if lineage.place.pointer is not None:
        pointers = [lineage.place.pointer]
    if pointers:
        names = " ".join(map(_argument, pointers))
        if pull_from is None:
            yield f"dvc pull {names}"
        else:
            cache = shlex.quote(str(pull_from))
            yield f"dvc cache dir --local {cache} && dvc checkout {names}"
    if lineage.place.stage is not None:
        yield f"dvc repro {_argument(lineage.place.stage)}"


def _argument(name: str) -> str:
    """A name for a shell: quoted, and no option."""
    return f"-- {shlex.quote(name)}" if name.startswith("-") else shlex.quote(name)


def _commits(lineage: Lineage) -> Iterator[str]:
    yield f"commit    {_commit(lineage.commit)}"
    if lineage.names:
        more = f" and {len(lineage.names) - 5} more" if len(lineage.names) > 5 else ""
        yield f"          in {', '.join(lineage.names[:5])}{more}"
    if lineage.experiment is not None:
        yield (
            f"          experiment {lineage.experiment}, in no branch: "
            f"`dvc exp branch {lineage.experiment} <name>` keeps it"
        )
    if lineage.count > 1:
        yield f"newest    {_commit(lineage.newest)}"
        yield f"oldest    {_commit(lineage.oldest)}, of {lineage.count} that list it"
    if lineage.differences:
        names = ", ".join(lineage.differences[:3])
        more = f" and {len(lineage.differences) - 3} more" if len(lineage.differences) > 3 else ""
        yield (
            f"warning: of the commits that list it none is what its dvc.lock says; this one "
            f"differs in {names}{more}: what it rebuilds may not be this"
        )


def _versions(versions: Versions) -> Iterator[str]:
    for line in versions.encoders:
        yield f"encoder   {line}"
    if versions.torch is not None:
        yield f"torch     {versions.torch}, says head.json"
    matter = [f"{name} {versions.pinned[name]}" for name in MATTER if name in versions.pinned]
    if matter:
        yield f"pinned    {', '.join(matter)}"


def _stage(stage: Stage, *, code: set[str]) -> Iterator[str]:
    yield f"  {stage.name}"
    for values in stage.params.values():
        for key, value in values.items():
            yield f"    {key}: {_value(value)}"
    modules = sum(dep.path in code and not dep.is_folder for dep in stage.deps)
    for dep in stage.deps:
        if dep.path not in code:
            yield f"    reads {dep.path}  {dep.digest[:_DIGITS]}"
    if modules:
        yield f"    reads {modules} modules of that commit"
    for out in stage.outs:
        yield f"    makes {out.path}  {out.digest[:_DIGITS]}"


def _value(value: Any) -> str:
    try:
        return canonical_json(value)
    except (TypeError, ValueError):
        return str(value)


def _maker(stage: str | None, pointer: str | None) -> str:
    return f"stage {stage}" if stage is not None else f"nobody here: raw data, {pointer}"


def _commit(commit: Commit) -> str:
    return f"{commit.short} {commit.date} {commit.author}: {commit.subject}"
