"""The history of what DVC tracks: which commits list a content, and as what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipeline.core.reading import read_bytes
from pipeline.lineage.content import Content, read_listing
from pipeline.lineage.git import Git
from pipeline.lineage.lock_entries import LOCK, POINTER, Item, Stage, parse_lock, parse_pointer
from pipeline.lineage.upstream import makers_of
from pipeline.store.dvc_cache import DvcCache

_FOLDERS = re.compile(rb"\b[0-9a-f]{32}\.dir\b")


@dataclass(frozen=True)
class Place:
    """Listing of a content in a commit: as what it is there.

    Attributes:
        item: the output, or the raw data, with the digest that it is listed by.
        inside: the path of the file in it, where the content is not the whole item.
        stage: the stage that made it; ``None`` for raw data.
        pointer: the ``.dvc`` file of raw data; ``None`` for what a stage made.
    """

    item: Item
    inside: str | None
    stage: str | None
    pointer: str | None

    @property
    def path(self) -> str:
        """The path of the content, from the project's root."""
        return self.item.path if self.inside is None else f"{self.item.path}/{self.inside}"


class History:
    """All versions of ``dvc.lock`` and of ``.dvc`` files that some revisions lead to.

    Args:
        git: the repository.
        revisions: as arguments of ``git log``.
        cache: DVC's cache, which knows what is in folders.
    """

    def __init__(self, git: Git, revisions: Sequence[str], cache: DvcCache) -> None:
        self._git = git
        self._revisions = tuple(revisions)
        self._cache = cache
        self._locks: dict[str, tuple[Stage, ...]] = {}
        self._pointers: dict[tuple[str, str], tuple[Item, ...]] = {}

    @cached_property
    def _data(self) -> dict[str, dict[str, bytes]]:
        """By path and blob, every version of every file that lists contents."""
        versions = self._git.versions(self._revisions, (LOCK, f"**/*{POINTER}"))
        return {
            path: {blob: self._git.data(blob) for blob in sorted(blobs)}
            for path, blobs in versions.items()
            if path == LOCK or not path.endswith("/" + POINTER)
        }

    @property
    def versions(self) -> int:
        """Number of versions of these files."""
        return sum(map(len, self._data.values()))

    @cached_property
    def folders(self) -> dict[str, dict[str, str]]:
        """Files of the folders that were ever listed, by digest, where DVC's cache lists them."""
        listed = {
            digest.decode()
            for blobs in self._data.values()
            for data in blobs.values()
            for digest in _FOLDERS.findall(data)
        }
        return {digest: self._listing(digest) for digest in sorted(listed)}

    @property
    def unknown_folders(self) -> int:
        """Number of listed folders whose files DVC's cache does not know."""
        return sum(not files for files in self.folders.values())

    def commits_with(self, content: Content) -> list[str]:
        """The commits that list a content, or a folder that has it; newest first."""
        digests = [content.digest, *(() if content.is_folder else self._around(content.digest))]
        wanted = [digest.encode() for digest in digests]
        blobs = {
            path: {blob for blob, data in blobs.items() if any(one in data for one in wanted)}
            for path, blobs in self._data.items()
        }
        blobs = {path: found for path, found in blobs.items() if found}
        if not blobs:
            return []
        return [
            commit
            for commit in self._git.commits(self._revisions)
            if any(self._git.id_of(commit, path) in found for path, found in blobs.items())
        ]

    def places(self, commit: str, content: Content) -> list[Place]:
        """Places of a content in a commit: outputs and raw data first, then files in them."""
        stages, pointers = self.stages(commit), self.pointers(commit)
        found = []
        for item, stage, pointer in _items(stages, pointers):
            files = self.folders.get(item.digest, {})
            if item.digest == content.digest:
                found.append(Place(item, None, stage, pointer))
            found += [
                Place(item, path, stage, pointer)
                for path, digest in files.items()
                if digest == content.digest
            ]
        # A stage that reads a file of a folder notes its digest, which needs no listing.
        known = {place.path for place in found}
        for dep in (dep for stage in stages for dep in stage.deps):
            if dep.digest != content.digest or dep.path in known:
                continue
            for maker in makers_of(dep.path, stages):
                item = next(out for out in maker.outs if out.holds(dep.path))
                inside = dep.path.removeprefix(item.path).lstrip("/")
                found.append(Place(item, inside or None, maker.name, None))
                known.add(dep.path)
        return sorted(found, key=lambda place: place.inside is not None)

    def stages(self, commit: str) -> tuple[Stage, ...]:
        """Stages that ``dvc.lock`` lists at a commit."""
        blob = self._git.id_of(commit, LOCK)
        if blob is None:
            return ()
        if blob not in self._locks:
            self._locks[blob] = parse_lock(self._git.text(blob))
        return self._locks[blob]

    def pointers(self, commit: str) -> dict[str, tuple[Item, ...]]:
        """Items that ``.dvc`` files point to at a commit, by the path of each file."""
        found = {}
        for path in self._data:
            if path == LOCK or (blob := self._git.id_of(commit, path)) is None:
                continue
            if (path, blob) not in self._pointers:
                self._pointers[path, blob] = parse_pointer(path, self._git.text(blob))
            found[path] = self._pointers[path, blob]
        return found

    def most_like(self, content: Content) -> tuple[str, dict[str, str]] | None:
        """The folder that has most files of a folder that nothing lists: ``(digest, files)``."""
        files = set(content.files.values())

        def common(item: tuple[str, dict[str, str]]) -> int:
            return sum(digest in files for digest in item[1].values())

        best = max(self.folders.items(), key=common, default=None)
        return best if best and common(best) else None

    def _around(self, digest: str) -> Iterator[str]:
        return (name for name, files in self.folders.items() if digest in files.values())

    def _listing(self, digest: str) -> dict[str, str]:
        return read_listing(self._cache.object(digest))


def workspace_items(git: Git) -> Iterator[tuple[Item, str | None]]:
    """Items that the workspace lists, committed or not, and the stages that made them."""
    texts = {
        path: read_bytes(git.root / path).decode("utf-8", errors="replace")
        for path in git.files(LOCK, f"**/*{POINTER}")
        if (git.root / path).is_file()
    }
    stages = parse_lock(texts.pop(LOCK, ""))
    pointers = {path: parse_pointer(path, text) for path, text in texts.items()}
    for item, stage, _ in _items(stages, pointers):
        yield item, stage


def _items(
    stages: Sequence[Stage], pointers: Mapping[str, Sequence[Item]]
) -> Iterator[tuple[Item, str | None, str | None]]:
    for stage in stages:
        for out in stage.outs:
            yield out, stage.name, None
    for path, items in pointers.items():
        for item in items:
            yield item, None, path
