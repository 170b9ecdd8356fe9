"""A folder that DVC tracks, without running DVC: its cache by hard links, its listing, its lock."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from ruamel.yaml import YAML


def track(project: Path, folder: Path, *, linked: bool = True) -> dict[str, Path]:
    """Puts a folder's files into DVC's cache and its listing into ``dvc.lock``.

    Returns:
        The cache's file of each path in the folder.
    """
    (project / ".dvc").mkdir(exist_ok=True)
    (project / ".dvc" / "config").touch()
    objects = {}
    entries = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        data = path.read_bytes()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        objects[name] = _object(project, digest)
        if not objects[name].exists():
            objects[name].parent.mkdir(parents=True, exist_ok=True)
            if linked:
                os.link(path, objects[name])
            else:
                objects[name].write_bytes(data)
                objects[name].chmod(0o444)
        entries.append({"md5": digest, "relpath": name})
    listing = json.dumps(entries).encode()
    digest = hashlib.md5(listing, usedforsecurity=False).hexdigest()
    target = _object(project, f"{digest}.dir")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(listing)
    output = {"path": folder.relative_to(project).as_posix(), "md5": f"{digest}.dir"}
    with (project / "dvc.lock").open("w", encoding="utf-8") as file:
        stages = {f"extract@{folder.name}": {"cmd": "extract", "outs": [output]}}
        YAML(typ="safe").dump({"schema": "2.0", "stages": stages}, file)
    return objects


def _object(project: Path, digest: str) -> Path:
    return project / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def flip(path: Path, bit: int | None = None) -> None:
    """Changes one bit of a file in place, through every link to it, as a failing disk would."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        data = file.read()
        position = bit if bit is not None else 8 * len(data) - 1
        file.seek(position // 8)
        file.write(bytes([data[position // 8] ^ 1 << position % 8]))
    path.chmod(mode)
