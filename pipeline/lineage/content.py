"""DVC's digests: the MD5 of a file's bytes, or of the listing of a folder's files."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.files import md5_file
from pipeline.core.reading import parse_json, read_bytes

FOLDER = ".dir"
"""Suffix of a folder's digest."""

DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")
"""A digest; any other text in its place would be a path in DVC's cache."""


@dataclass(frozen=True)
class Content:
    """A file or folder by its content, wherever it is.

    Attributes:
        digest: as ``dvc.lock`` has it; that of a folder ends with ``.dir``.
        files: of a folder, the MD5 of each file by its path in it.
    """

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.digest.endswith(FOLDER)


def read_content(path: Path, progress: Callable[[int], object] = lambda _: None) -> Content:
    """Reads every byte of a file, or of all files in a folder.

    Args:
        path: the file or folder.
        progress: called with the size of each file that has been read.
    """
    if not path.is_dir():
        digest = md5_file(path)
        progress(path.stat().st_size)
        return Content(digest)
    files = {}
    for file in folder_files(path):
        files[file.relative_to(path).as_posix()] = md5_file(file)
        progress(file.stat().st_size)
    return Content(folder_digest(files), files)


def folder_files(folder: Path) -> list[Path]:
    """All files in a folder, at any depth."""
    return sorted(Path(parent) / name for parent, _, names in os.walk(folder) for name in names)


def folder_digest(files: Mapping[str, str]) -> str:
    """The digest of a folder with these files, by path in it: that of DVC's listing of them."""
    listing = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    data = json.dumps(listing, sort_keys=True).encode("utf-8")
    return hashlib.md5(data, usedforsecurity=False).hexdigest() + FOLDER


def parse_listing(data: bytes) -> dict[str, str]:
    """The files of a folder as DVC's cache lists them, the MD5 of each by its path in it.

    Raises:
        ValueError: the data is no listing, or names a path that leaves the folder.
    """
    files: dict[str, str] = {}
    try:
        for entry in parse_json(data):
            path, digest = entry["relpath"], entry["md5"]
            # Only DVC opens these, where it checks a folder out: any name will do that stays in it.
            parts = path.split("/")
            if {"", ".", ".."} & set(parts) or not DIGEST.fullmatch(digest):
                raise ValueError("a path leaves the folder, or a digest is none")
            files[path] = digest
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("not a listing of a folder") from error
    return files


def read_listing(path: Path | None) -> dict[str, str]:
    """The files of a folder by DVC's cache; none where its listing is absent or damaged."""
    try:
        return parse_listing(read_bytes(path)) if path else {}
    except (OSError, ValueError):
        return {}
