"""Entries of ``dvc.lock`` and ``.dvc`` files, as values: stages with what they read and made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipeline.core.yaml_reading import BadYamlError, load_yaml

LOCK = "dvc.lock"
POINTER = ".dvc"


@dataclass(frozen=True)
class Item:
    """A file or folder at one moment: where it was, and its digest."""

    path: str
    digest: str

    @property
    def is_folder(self) -> bool:
        """Whether the digest is of a folder's listing."""
        return self.digest.endswith(".dir")

    def holds(self, path: str) -> bool:
        """Whether a path is this one, or inside it."""
        return path == self.path or path.startswith(f"{self.path}/")


@dataclass(frozen=True)
class Stage:
    """A stage as it last ran: what it read, with which parameters, and what it made.

    Attributes:
        name: as DVC calls it, ``train@news_topic``.
        command: what ran.
        deps: what it read: code, raw data, and what other stages had made.
        outs: what it made.
        params: values by file of parameters and by dotted key.
    """

    name: str
    command: str
    deps: tuple[Item, ...]
    outs: tuple[Item, ...]
    params: Mapping[str, Mapping[str, Any]]


def parse_lock(text: str) -> tuple[Stage, ...]:
    """The stages that a ``dvc.lock`` lists; none where it cannot be read, as in a conflict."""
    data = _mapping(text).get("stages")
    if not isinstance(data, dict):
        return ()
    return tuple(
        Stage(
            name=str(name),
            command=_one_line(stage.get("cmd", "")),
            deps=_items(stage.get("deps")),
            outs=_items(stage.get("outs")),
            params=_params(stage.get("params")),
        )
        for name, stage in data.items()
        if isinstance(stage, dict)
    )


def parse_pointer(path: str, text: str) -> tuple[Item, ...]:
    """Items that a ``.dvc`` file points to; none where it cannot be read.

    Args:
        path: of the pointer, from the project's root; what it names is beside it.
        text: its content.
    """
    data = _mapping(text)
    folder = PurePosixPath(path).parent / str(data.get("wdir", "."))
    return tuple(
        Item((folder / item.path).as_posix(), item.digest) for item in _items(data.get("outs"))
    )


def _mapping(text: str) -> dict[str, Any]:
    try:
        data = load_yaml(text)
    except BadYamlError:
        return {}
    return data if isinstance(data, dict) else {}


def _items(entries: Any) -> tuple[Item, ...]:
    return tuple(
        Item(entry["path"], str(entry["md5"]))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and isinstance(entry.get("path"), str) and "md5" in entry
    )


def _params(files: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(files, dict):
        return {}
    return {file: values for file, values in files.items() if isinstance(values, dict)}


def _one_line(command: Any) -> str:
    lines = command if isinstance(command, list) else [command]
    return " && ".join(" ".join(str(line).split()) for line in lines)
