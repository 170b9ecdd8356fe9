"""Trace of a content: the commit that has it, and from there up to raw data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.errors import LineageError
from pipeline.lineage.agreement import Agreement
from pipeline.lineage.content import Content
from pipeline.lineage.git import EXPERIMENTS, KEPT, Commit, Git
from pipeline.lineage.history import History, Place, workspace_items
from pipeline.lineage.lock_entries import LOCK
from pipeline.lineage.upstream import Upstream, find_upstream
from pipeline.store.dvc_cache import DvcCache

TRIED = 20
"""Commits, the newest first, that are compared with their ``dvc.lock``; then the oldest is."""


@dataclass(frozen=True)
class Lineage:
    """Origin of a content.

    Attributes:
        content: of the file or folder that was asked for.
        place: as what the commit lists it.
        others: other places of the same content in the commit.
        commit: the newest that lists it and has the code, data and parameters that its
            ``dvc.lock`` says; where none has, the one that differs least.
        newest: the newest that lists it.
        oldest: the oldest that does.
        count: how many do.
        names: branches and tags that have the commit.
        experiment: the name of DVC's experiment, where no branch or tag has it.
        upstream: what it was made from.
        pointers: the ``.dvc`` file of each raw item, by path.
        differences: what the commit has otherwise than its ``dvc.lock`` says.
    """

    content: Content
    place: Place
    others: tuple[Place, ...]
    commit: Commit
    newest: Commit
    oldest: Commit
    count: int
    names: tuple[str, ...]
    experiment: str | None
    upstream: Upstream
    pointers: dict[str, str]
    differences: tuple[str, ...]


def trace(git: Git, cache: DvcCache, content: Content, *, name: str, path: str | None) -> Lineage:
    """Finds a content in the history, and all that it was made from.

    Args:
        git: the project's repository.
        cache: DVC's cache.
        content: what is looked for.
        name: what the user calls it, for messages.
        path: its path in the project, if it is there.

    Raises:
        LineageError: no commit and no experiment lists it; the text says what is known of it.
    """
    kept = History(git, KEPT, cache)
    if commits := kept.commits_with(content):
        lineage = _lineage(git, kept, content, commits, name=name, path=path, experiment=None)
        if lineage:
            return lineage
    experiments = _experiments(git)
    if experiments:
        history = History(git, EXPERIMENTS, cache)
        commits = [commit for commit in history.commits_with(content) if commit in experiments]
        if commits:
            experiment = experiments[commits[0]]
            lineage = _lineage(
                git, history, content, commits[:1], name=name, path=path, experiment=experiment
            )
            if lineage:
                return lineage
    raise LineageError(_why_not_found(git, kept, content, name=name, path=path))


def _lineage(
    git: Git,
    history: History,
    content: Content,
    commits: Sequence[str],
    *,
    name: str,
    path: str | None,
    experiment: str | None,
) -> Lineage | None:
    """Lineage of a content by the commits that list it; ``None`` if they name it as code alone."""
    if not any(history.places(commit, content) for commit in (commits[0], commits[-1])):
        return None
    agreement = Agreement(git, history)
    chosen: tuple[str, list[Place], Upstream, tuple[str, ...]] | None = None
    for commit in dict.fromkeys((*commits[:TRIED], commits[-1])):
        places = history.places(commit, content)
        if not places:
            continue
        places.sort(key=lambda place: _distance(place, name, path))
        pointed = [item for items in history.pointers(commit).values() for item in items]
        upstream = find_upstream(places[0].item.path, history.stages(commit), pointed)
        differences = tuple(dict.fromkeys(agreement.differences(commit, upstream)))
        if chosen is None or len(differences) < len(chosen[3]):
            chosen = commit, places, upstream, differences
        if not differences:
            break
    if chosen is None:
        return None
    commit, places, upstream, differences = chosen
    return Lineage(
        content=content,
        place=places[0],
        others=tuple(places[1:]),
        commit=git.describe(commit),
        newest=git.describe(commits[0]),
        oldest=git.describe(commits[-1]),
        count=len(commits),
        names=tuple(git.names_of(commit)) if experiment is None else (),
        experiment=experiment,
        upstream=upstream,
        pointers={
            item.path: pointer
            for pointer, items in history.pointers(commit).items()
            for item in items
        },
        differences=differences,
    )


def _distance(place: Place, name: str, path: str | None) -> tuple[bool, bool]:
    """Sort key of places of one content: that of the file's own path first, then of its name."""
    return place.path != path, place.path.rsplit("/", 1)[-1] != name.rstrip("/").rsplit("/", 1)[-1]


def _experiments(git: Git) -> dict[str, str]:
    """Names of DVC's experiments, by commit."""
    lines = git.run("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found = {}
    for line in lines:
        commit, _, reference = line.partition(" ")
        parts = reference.split("/")
        # refs/exps/<2 digits>/<38 digits>/<name>; others are DVC's own book-keeping
        if len(parts) == 5 and len(parts[2]) == 2:
            found[commit] = parts[4]
    return found


def _why_not_found(
    git: Git, history: History, content: Content, *, name: str, path: str | None
) -> str:
    listed = list(workspace_items(git))
    for item, stage in listed:
        if item.digest == content.digest:
            made = f"{stage} made it" if stage else "`dvc add` tracks it"
            return (
                f"{name}: {made}, and no commit lists it yet; commit {LOCK} and the .dvc files, "
                "and ask again"
            )
    for item, _ in listed:
        if path is not None and item.path == path:
            return (
                f"{name}: is not what {LOCK} or its .dvc file lists ({item.digest}; it is now "
                f"{content.digest}), nor what any commit lists: changed or damaged; "
                f"`dvc checkout --force {item.path}` brings back what is listed"
            )
    for item, _ in listed:
        if path is not None and item.holds(path):
            return (
                f"{name}: is not what is listed for {item.path}, nor in any folder that a commit "
                f"lists: changed or damaged; `dvc checkout --force {item.path}` brings it back"
            )
    if path is not None and git.tracks(path):
        return f"{name}: Git tracks this, and DVC does not: `git log -- {path}` is its history"
    if content.is_folder and (like := _most_like(history, content)):
        return f"{name}: {like}"
    advice = ""
    if not content.is_folder and history.unknown_folders:
        advice = (
            f"; of {history.unknown_folders} folders, what is in them is not in DVC's cache: give "
            "the folder that the file was in, or run `dvc fetch --all-commits`"
        )
    return (
        f"{name}: no branch, tag or experiment lists {content.digest} (searched "
        f"{history.versions} versions of {LOCK} and .dvc files): changed, damaged, or not of this "
        f"project{advice}"
    )


def _most_like(history: History, content: Content) -> str | None:
    best = history.most_like(content)
    if best is None:
        return None
    digest, files = best
    other = sorted(
        path for path in {*files, *content.files} if files.get(path) != content.files.get(path)
    )
    lacking = [path for path in other if path not in content.files]
    added = [path for path in other if path not in files]
    changed = [path for path in other if path in files and path in content.files]
    parts = [
        f"{kind}: {', '.join(paths[:3])}{' ...' if len(paths) > 3 else ''}"
        for kind, paths in (("changed", changed), ("missing", lacking), ("added", added))
        if paths
    ]
    return (
        f"no commit lists this folder; it is most like {digest}, with {len(other)} files "
        f"otherwise ({'; '.join(parts)}); ask for that digest to see where it came from"
    )
