"""DVC's cache, where it holds features: found without a run of DVC.

The store is local and DVC removes an output before its stage runs. After ``dvc pull`` in a new
clone, DVC's cache therefore has the only copy of what another machine computed: extraction imports
it from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import StoreError
from pipeline.core.files import md5_file
from pipeline.features import layout
from pipeline.features.manifest import Manifest, read_manifest_file
from pipeline.store.links import Linker


@dataclass(frozen=True)
class CachedFolder:
    """A folder that DVC tracks: where its cache holds each file, by path inside the folder.

    Attributes:
        path: the folder, relative to the project's root.
        files: the cache's file of each path; it may be absent.
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
        except StoreError:
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
        try:
            lock = YAML(typ="safe").load((self._root / "dvc.lock").read_text(encoding="utf-8"))
            stages = lock["stages"].values()
        except (OSError, YAMLError, KeyError, TypeError, AttributeError):
            return
        for stage in stages:
            for output in stage.get("outs", ()):
                digest = str(output.get("md5", ""))
                if digest.endswith(".dir") and (files := self._listing(digest)):
                    yield CachedFolder(output["path"], files)

    def folder(self, path: Path) -> CachedFolder | None:
        """One folder that DVC tracks, by its path."""
        wanted = path.absolute()
        return next(
            (one for one in self.folders() if self._root.absolute() / one.path == wanted), None
        )

    def object(self, md5: str) -> Path | None:
        """Path at which the cache holds a content, or would hold it."""
        return self._folder / md5[:2] / md5[2:] if self._folder else None

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
        path = self.object(digest)
        if path is None:
            return {}
        try:
            data = path.read_bytes()
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != digest.removesuffix(".dir"):
                return {}
            entries = json.loads(data)
        except (OSError, ValueError):
            return {}
        return {entry["relpath"]: held for entry in entries if (held := self.object(entry["md5"]))}


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
