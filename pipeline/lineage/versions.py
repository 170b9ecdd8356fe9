"""Versions of libraries that a commit and a head name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.core.reading import parse_json, read_bytes
from pipeline.lineage.content import Content, read_listing
from pipeline.lineage.git import Git
from pipeline.lineage.lock_entries import Item, Stage
from pipeline.store.dvc_cache import DvcCache

LOCK = "requirements/lock.txt"
SAMPLES = "requirements/samples.txt"
DESCRIPTION = "head.json"
MATTER = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "h5py")
"""Libraries that decide the bytes of features and heads: the few, of all that are installed."""

_PACKAGE = "package:"


def pinned(requirements: str) -> dict[str, str]:
    """Versions that a file of requirements pins, by the package's normalised name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", requirements, re.MULTILINE)
    return {_normal(name): version for name, version in found}


def commit_versions(git: Git, commit: str, path: str = LOCK) -> dict[str, str]:
    """Versions that a commit's file of requirements pins; none where there is no such file."""
    blob = git.id_of(commit, path)
    return pinned(git.text(blob)) if blob else {}


def torch_of_head(content: Content, path: Path | None, item: Item, cache: DvcCache) -> str | None:
    """The version of torch that trained a head, as its description says; ``None`` for all else.

    Args:
        content: what was asked for; a folder tells itself whether it is a head's.
        path: where it is, if it is a folder that can be read.
        item: the output that it is, or is in, which DVC's cache may have.
        cache: DVC's cache.
    """
    source = path / DESCRIPTION if path is not None and DESCRIPTION in content.files else None
    if source is None and (digest := read_listing(cache.object(item.digest)).get(DESCRIPTION)):
        source = cache.object(digest)
    try:
        # Of any version: nothing else of it is read.
        version = parse_json(read_bytes(source))["torch"] if source else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def encoders_of(stages: Iterable[Stage], samples: dict[str, str]) -> list[str]:
    """Name, source and revision of the encoders among some stages.

    Args:
        stages: with their parameters.
        samples: versions of packages that hold data, by name.
    """
    lines = []
    for stage in stages:
        for values in stage.params.values():
            for key, row in values.items():
                if key.startswith("encoders.") and isinstance(row, dict) and "source" in row:
                    lines.append(f"{key.removeprefix('encoders.')}: {_encoder(row, samples)}")
    return lines


def _encoder(row: dict[str, object], samples: dict[str, str]) -> str:
    source, revision = str(row["source"]), row.get("revision")
    if source.startswith(_PACKAGE):
        name = _normal(source.removeprefix(_PACKAGE).split("/", 1)[0])
        return f"{source}, version {samples[name]}" if name in samples else source
    return f"{source}, revision {revision}" if revision else source


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
