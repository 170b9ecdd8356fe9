"""Rebuild of a file in a clone of its own, and the comparison.

The clone has a cache of its own that holds what the rebuild starts from and nothing else, and a
feature store of its own that is empty: no output can come from anywhere but its stage.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import LineageError
from pipeline.lineage.content import FOLDER, read_content, read_listing
from pipeline.lineage.lock_entries import Item, Stage
from pipeline.lineage.upstream import Upstream, makers_of
from pipeline.store.dvc_cache import DvcCache

ENCODER, EXTRACT = "encoder", "extract"
"""Families of stages that a rebuild passes over where it can: a copy, and the slow part."""

_STDERR = 2
"""Where all goes that stages print: standard output is for what was found."""


@dataclass(frozen=True)
class Plan:
    """Plan of a rebuild: what it runs, and what it starts from.

    Attributes:
        stages: that run, in this order.
        start: outputs of other stages and raw data, which come from DVC's cache.
    """

    stages: tuple[Stage, ...]
    start: tuple[Item, ...]


def plan_rebuild(upstream: Upstream, *, from_texts: bool, held: Callable[[Item], bool]) -> Plan:
    """Chooses the stages that run: all, but for the encoder, and extraction unless it is asked for.

    The stage that made the file itself always runs. What DVC's cache does not have is made again.

    Args:
        upstream: what the file was made from; the last stage made it.
        from_texts: whether extraction runs too.
        held: whether DVC's cache has a content.
    """
    *before, last = upstream.stages
    kept = {ENCODER} if from_texts else {ENCODER, EXTRACT}
    given = [
        stage
        for stage in before
        if stage.name.split("@", 1)[0] in kept
        and all(held(out) for out in _read_of(stage.outs, upstream.stages))
    ]
    needed = _needed([last], before, given)
    run = tuple(stage for stage in upstream.stages if stage.name in needed)
    outs = [out for stage in given for out in stage.outs]
    return Plan(run, tuple(_read_of((*outs, *upstream.raw), run)))


@contextmanager
def clone_of(root: Path, commit: str) -> Iterator[Path]:
    """A clone of a project at a commit, on the same file system; it is removed afterwards."""
    # DVC's own place for such things, which Git ignores: links into the cache work from here.
    (root / ".dvc" / "tmp").mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix="lineage-", dir=root / ".dvc" / "tmp"))
    try:
        clone = temporary / "project"
        # Shared objects: a commit that only an experiment has is there too.
        repository = _git(root, "rev-parse", "--show-toplevel")
        _git(root, "clone", "--quiet", "--shared", "--no-checkout", "--", repository, str(clone))
        _git(clone, "checkout", "--quiet", "--detach", commit)
        yield clone / _git(root, "rev-parse", "--show-prefix")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def provide(items: Iterable[Item], cache: DvcCache, clone: Path) -> None:
    """Puts contents into the clone's own cache, and from there into its workspace.

    Raises:
        LineageError: DVC's cache lacks one.
    """
    own = DvcCache(clone)
    chosen = list(items)
    for item in chosen:
        for digest in contents_of(item, cache):
            source, target = cache.object(digest), own.object(digest)
            if source is None or target is None or not source.is_file():
                raise LineageError(
                    f"{item.path}: {item.digest} is not in DVC's cache, nor in a default remote; "
                    "bring it there, from a colleague's clone with `dvc push --all-commits`"
                )
            _link(source, target)
    if chosen:
        run_dvc(clone, ["checkout", "--quiet", "--", *(item.path for item in chosen)])


def contents_of(item: Item, cache: DvcCache) -> list[str]:
    """Digests of all that an item is made of: itself, and the files of a folder."""
    if not item.digest.endswith(FOLDER):
        return [item.digest]
    files = read_listing(cache.object(item.digest))
    return [item.digest, *sorted(set(files.values()))]


def lacking(cache: DvcCache, item: Item) -> list[str]:
    """Digests of what DVC's cache lacks of an item; empty where it has all of it."""
    objects = {digest: cache.object(digest) for digest in contents_of(item, cache)}
    return [digest for digest, path in objects.items() if path is None or not path.is_file()]


def run_stages(clone: Path, stages: Sequence[Stage]) -> None:
    """Runs stages one after another, whatever DVC has seen before.

    Raises:
        LineageError: one of them failed; what it said is on the terminal.
    """
    names = [stage.name for stage in stages]
    run_dvc(clone, ["repro", "--single-item", "--force", "--no-commit", "--", *names])


def run_dvc(clone: Path, arguments: Sequence[str]) -> None:
    """Runs DVC in the clone, with this environment's packages and the clone's code.

    Raises:
        LineageError: DVC failed.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DVC_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(clone),
        "DVC_SITE_CACHE_DIR": str(clone / ".dvc" / "tmp" / "site-cache"),
        "FEATURE_STORE": str(clone / ".dvc" / "tmp" / "features"),
    }
    command = [sys.executable, "-m", "dvc", *arguments]
    result = subprocess.run(  # noqa: S603
        command, cwd=clone, env=environment, stdout=_STDERR, check=False
    )
    if result.returncode:
        raise LineageError(f"`dvc {' '.join(arguments)}` failed in the clone; it says why above")


def different_outputs(clone: Path, stages: Iterable[Stage]) -> Iterator[tuple[Item, str]]:
    """Outputs that are not what ``dvc.lock`` says, with the digests that they have now."""
    for stage in stages:
        for out in stage.outs:
            path = clone / out.path
            digest = read_content(path).digest if path.exists() else "absent"
            if digest != out.digest:
                yield out, digest


def _read_of(items: Iterable[Item], stages: Sequence[Stage]) -> list[Item]:
    """Items that a stage reads; what nobody reads, such as metrics, need not be there."""
    paths = [dep.path for stage in stages for dep in stage.deps]
    return [
        item
        for item in items
        if any(item.holds(path) or Item(path, "").holds(item.path) for path in paths)
    ]


def _needed(last: list[Stage], before: Sequence[Stage], given: Sequence[Stage]) -> set[str]:
    skipped = {stage.name for stage in given}
    needed: set[str] = set()
    waiting = list(last)
    while waiting:
        stage = waiting.pop()
        if stage.name in needed or stage.name in skipped:
            continue
        needed.add(stage.name)
        waiting += [maker for dep in stage.deps for maker in makers_of(dep.path, before)]
    return needed


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LineageError(f"git {arguments[0]}: {reason}")
    return result.stdout.rstrip("\n")
