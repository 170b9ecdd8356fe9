"""DVC's cache, where it holds features: found without a run of DVC.

The store is local and DVC removes an output before its stage runs. After ``dvc pull`` in a new
clone, DVC's cache therefore has the only copy of what another machine computed: extraction imports
it from there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import StoreError
from pipeline.core.files import md5_file
from pipeline.core.paths import UnsafeNameError, inside
from pipeline.core.reading import parse_json, read_bytes
from pipeline.core.yaml_reading import load_yaml
from pipeline.features import layout
from pipeline.features.manifest import Manifest, read_manifest_file
from pipeline.store.links import Linker

_FOLDER = ".dir"
_DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")


@dataclass(frozen=True)
class CachedFolder:
    """A folder that DVC tracks: where its cache holds each file, by path inside the folder.

    Attributes:
        path: the folder, relative to the project's root.
        files: the cache's file of each path, all of them inside the folder; it may be absent.
    """

    path: str
    files: dict[str, Path]

    @property
    def holds_features(self) -> bool:
        """Whether this is a features row, be its files intact or not."""
        return {layout.MANIFEST, layout.INDEX_FILE} <= self.files.keys()

    def manifest(self) -> Manifest | None:
        """The manifest, where the folder holds features and the cache has it intact."""
        source = self.files.get(layout.MANIFEST)
        try:
            return read_manifest_file(source) if source else None
        except (StoreError, OSError):
            return None


class DvcCache:
    """The cache of a DVC project, and what the project's ``dvc.lock`` says is in it.

    Args:
        root: the project's root; where it is no DVC project, the cache is empty.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = _cache_folder(root)

    def folders(self) -> Iterator[CachedFolder]:
        """The folders that ``dvc.lock`` lists as outputs, and the cache has a listing of."""
        for path, digest in _outputs(self._root / "dvc.lock"):
            if digest.endswith(_FOLDER) and (files := self._listing(digest)):
                yield CachedFolder(path, files)

    def folder(self, path: Path) -> CachedFolder | None:
        """One folder that DVC tracks, by its path."""
        wanted = path.absolute()
        return next(
            (one for one in self.folders() if inside(self._root.absolute(), one.path) == wanted),
            None,
        )

    def object(self, md5: str) -> Path | None:
        """Path at which the cache holds a content, or would hold it; ``None`` if it never does."""
        if self._folder is None or not _DIGEST.fullmatch(md5):
            return None
        return self._folder / md5[:2] / md5[2:]

    def repair(self, source: Path, linker: Linker) -> Path | None:
        """Replaces the cache's copy of a content by an intact file, if the cache's is damaged.

        Args:
            source: a file that is intact.
            linker: puts it there.

        Returns:
            What was replaced, if anything.
        """
        digest = md5_file(source)
        target = self.object(digest)
        if target is None or not target.is_file() or md5_file(target) == digest:
            return None
        linker.link(source, target)
        return target

    def _listing(self, digest: str) -> dict[str, Path]:
        """Files of a folder; none where its listing is damaged, or names what no folder holds."""
        path = self.object(digest)
        try:
            data = read_bytes(path) if path else b""
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != digest.removesuffix(_FOLDER):
                return {}
            files = parse_listing(data)
        except (OSError, ValueError):
            return {}
        return {name: held for name, md5 in files.items() if (held := self.object(md5))}


def parse_listing(data: bytes) -> dict[str, str]:
    """The files of a folder as DVC lists them, the MD5 of each by its path in the folder.

    Raises:
        ValueError: the data is no listing, or names what is no file of a folder.
    """
    entries = parse_json(data)
    files = {}
    for entry in entries if isinstance(entries, list) else (None,):
        match entry:
            case {"relpath": name, "md5": str(md5)} if _DIGEST.fullmatch(md5):
                inside(Path(), name)
                files[name] = md5
            case _:
                raise ValueError("not a listing of a folder")
    return files


def _outputs(lock: Path) -> Iterator[tuple[str, str]]:
    """Path and digest of all outputs in a ``dvc.lock``; what is not written as DVC does is not."""
    try:
        stages = load_yaml(read_bytes(lock))["stages"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for stage in stages:
        outputs = stage.get("outs") if isinstance(stage, dict) else None
        for output in outputs if isinstance(outputs, list) else ():
            match output:
                case {"path": str(path), "md5": str(digest)}:
                    try:
                        inside(Path(), path)
                    except UnsafeNameError:
                        continue
                    yield path, digest


def _cache_folder(root: Path) -> Path | None:
    if not (root / ".dvc").is_dir():
        return None
    from dvc.config import Config, ConfigError

    try:
        chosen = Config(str(root / ".dvc"))["cache"].get("dir")
    except ConfigError:
        return None
    folder = Path(chosen) if chosen else Path("cache")
    return root / ".dvc" / folder / "files" / "md5"
