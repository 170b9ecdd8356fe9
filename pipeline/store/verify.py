"""Verification of files by their digests, in the workspace, the store and DVC's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import StoreError
from pipeline.core.files import md5_file
from pipeline.core.paths import inside
from pipeline.core.reading import SpecialFileError
from pipeline.features.hash_cache import HashCache
from pipeline.features.manifest import read_manifest
from pipeline.store.dvc_cache import CachedFolder
from pipeline.store.local import LocalStore


@dataclass(frozen=True)
class Expectation:
    """A file and what it must hold.

    Attributes:
        path: the file.
        sha256: its digest; ``None`` where none is on record, which is damage too.
        md5: instead, where DVC alone knows the content.
        optional: whether it may be absent.
    """

    path: Path
    sha256: str | None = None
    md5: str | None = None
    optional: bool = False


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written, and why."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def features_folders(root: Path) -> list[Path]:
    """The features rows below ``data/features``, in alphabetical order."""
    return sorted(path for path in root.glob("[!.]*") if path.is_dir())


def expect_features(folder: Path) -> Iterator[Expectation | Damage]:
    """Every file of a features row in the workspace."""
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        path, _, problem = str(error).partition(": ")
        yield Damage(Path(path), problem)
        return
    for name, digest in manifest.digests():
        yield Expectation(inside(folder, name), digest)


def expect_store(store: LocalStore) -> Iterator[Expectation]:
    """Every file that the store has of a recipe."""
    for shard, file in store.files():
        yield Expectation(store.path(shard, file), store.digest(shard, file))


def expect_cached(folder: CachedFolder) -> Iterator[Expectation]:
    """Every file of a features row that DVC's cache has; it may have a part of them only."""
    if not folder.holds_features:
        return
    manifest = folder.manifest()
    digests = dict(manifest.digests()) if manifest else {}
    for name, path in folder.files.items():
        if name in digests:
            yield Expectation(path, digests[name], optional=True)
        else:
            yield Expectation(path, md5=path.parent.name + path.name, optional=True)


def find_damage(
    expected: Iterable[Expectation | Damage],
    hash_cache: HashCache,
    progress: Callable[[int], object],
) -> list[Damage]:
    """Reads files, each inode once, and tells those that differ from what is expected.

    Args:
        expected: from the functions above.
        hash_cache: what may be believed without reading.
        progress: told the size of every file that was looked at.
    """
    found = []
    for item in expected:
        if isinstance(item, Damage):
            found.append(item)
            continue
        try:
            if item.md5 is not None:
                intact = md5_file(item.path) == item.md5
            else:
                intact = hash_cache.sha256(item.path) == item.sha256
        except (FileNotFoundError, NotADirectoryError, SpecialFileError):
            if not item.optional:
                found.append(Damage(item.path, "is missing"))
            continue
        if not intact:
            problem = "is damaged" if item.md5 or item.sha256 else "has no digest on record"
            found.append(Damage(item.path, problem))
        progress(_size(item.path))
    return found


def total_size(expected: Iterable[Expectation | Damage]) -> int:
    """Bytes of all files that are to be looked at."""
    return sum(_size(item.path) for item in expected if isinstance(item, Expectation))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
