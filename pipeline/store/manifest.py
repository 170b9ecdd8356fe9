"""``manifest.json``: what a features row is made of, written last."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.files import READ_ONLY, atomic_file, canonical_json
from pipeline.store import layout


@dataclass(frozen=True)
class ShardEntry:
    """One shard: its size, and the SHA-256 of each of its files by name."""

    name: str
    rows: int
    tokens: int
    files: dict[str, str]


@dataclass(frozen=True)
class Manifest:
    """Contents of a features row.

    Attributes:
        recipe: the recipe's JSON.
        layers: the layers kept, in ascending order.
        width: width of the hidden states.
        depth: layers of the encoder, of which some are kept; the last one is number ``depth``.
        dtype: ``float16`` or ``float32``, as stored.
        texts_sha256: SHA-256 of the text file that the examples come from.
        entrance_sha256: SHA-256 of ``features.h5``.
        shards: in the order of their rows.
    """

    recipe: dict[str, Any]
    layers: tuple[int, ...]
    width: int
    depth: int
    dtype: str
    texts_sha256: str
    entrance_sha256: str
    shards: tuple[ShardEntry, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return sum(shard.tokens for shard in self.shards)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes ``manifest.json`` as canonical JSON, read-only."""
    content = {"format": layout.FORMAT_VERSION, **asdict(manifest)}
    with atomic_file(folder / layout.MANIFEST, mode=READ_ONLY) as temporary:
        temporary.write_text(canonical_json(content) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a features row.

    Raises:
        StoreError: there is none, it is damaged, or it is of a version that this code does not
            know.
    """
    path = folder / layout.MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise StoreError(f"{path}: is damaged; remove {folder} and run `dvc repro`") from None
    version = content.get("format") if isinstance(content, dict) else None
    if version != layout.FORMAT_VERSION:
        raise StoreError(
            f"{path}: has format version {version}, this code reads version "
            f"{layout.FORMAT_VERSION}; use the code that wrote it, or extract again"
        )
    try:
        del content["format"]
        shards = tuple(ShardEntry(**shard) for shard in content.pop("shards"))
        layers = tuple(content.pop("layers"))
        return Manifest(**content, layers=layers, shards=shards)
    except (KeyError, TypeError):
        raise StoreError(f"{path}: is damaged; remove {folder} and run `dvc repro`") from None
