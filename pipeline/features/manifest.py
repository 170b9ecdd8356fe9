"""``manifest.json``: what a features row is made of, written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.core.files import READ_ONLY, canonical_json, write_bytes
from pipeline.features import layout

_SELF = "manifest_sha256"


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

    def recipe_digest(self) -> str:
        """SHA-256 of the recipe's canonical JSON, in hexadecimal."""
        return hashlib.sha256(canonical_json(self.recipe).encode("utf-8")).hexdigest()

    def digests(self) -> Iterator[tuple[str, str]]:
        """``(path in the features' folder, SHA-256)`` of every file besides the manifest."""
        yield layout.INDEX_FILE, self.entrance_sha256
        for shard in self.shards:
            for file, digest in sorted(shard.files.items()):
                yield layout.shard_path(shard.name, file), digest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes ``manifest.json`` as canonical JSON with a digest of itself, read-only."""
    content = {"format": layout.FORMAT_VERSION, **asdict(manifest)}
    write_bytes(folder / layout.MANIFEST, _signed(content), mode=READ_ONLY)


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a features row.

    Raises:
        StoreError: there is none, it is damaged, or it is of a version that this code does not
            know.
    """
    return read_manifest_file(folder / layout.MANIFEST)


def read_manifest_file(path: Path) -> Manifest:
    """Reads a manifest under whatever name; see ``read_manifest``."""
    damaged = StoreError(
        f"{path}: is damaged; `python -m stages.store verify --repair` makes it anew"
    )
    try:
        data = path.read_bytes()
        content = json.loads(data)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None
    except ValueError:
        raise damaged from None
    version = content.get("format") if isinstance(content, dict) else None
    if version != layout.FORMAT_VERSION:
        raise StoreError(
            f"{path}: has format version {version}, this code reads version "
            f"{layout.FORMAT_VERSION}; use the code that wrote it, or extract again"
        )
    content.pop(_SELF, None)
    if data != _signed(content):
        raise damaged
    try:
        del content["format"]
        shards = tuple(ShardEntry(**shard) for shard in content.pop("shards"))
        layers = tuple(content.pop("layers"))
        return Manifest(**content, layers=layers, shards=shards)
    except (KeyError, TypeError):
        raise damaged from None


def _signed(content: dict[str, Any]) -> bytes:
    """The bytes of a manifest: one line of canonical JSON that holds the digest of the rest."""
    digest = hashlib.sha256(canonical_json(content).encode("utf-8")).hexdigest()
    return (canonical_json({**content, _SELF: digest}) + "\n").encode("utf-8")
