"""``manifest.json``: what a features row is made of, written last."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.errors import StoreError
from pipeline.core.files import READ_ONLY, canonical_json, write_bytes
from pipeline.core.reading import (
    LargeFileError,
    Record,
    SpecialFileError,
    parse_json,
    parse_record,
    read_bytes,
)
from pipeline.features import layout
from pipeline.features.recipe import Digest, RecipeRecord

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
        pairs: ``apart`` where examples are pairs of texts, each text a row of its own; else
            ``None``.
    """

    recipe: dict[str, Any]
    layers: tuple[int, ...]
    width: int
    depth: int
    dtype: str
    texts_sha256: str
    entrance_sha256: str
    shards: tuple[ShardEntry, ...]
    pairs: Literal["apart"] | None = None

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


class _ShardRecord(Record):
    """A shard as ``manifest.json`` has it: what is read of it becomes paths."""

    name: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{layout.NAME_DIGITS}}}$")]
    rows: int = Field(ge=1, le=layout.MOST_TOKENS)
    tokens: int = Field(ge=1, le=layout.MOST_TOKENS)
    files: dict[str, Digest]


class _ManifestRecord(Record):
    """``manifest.json``, which somebody else may have written."""

    format: Literal[1]
    recipe: RecipeRecord
    layers: tuple[Annotated[int, Field(ge=0, le=layout.MOST_LAYERS)], ...] = Field(min_length=1)
    depth: int = Field(ge=1, le=layout.MOST_LAYERS)
    width: int = Field(ge=1, le=layout.WIDEST)
    dtype: Literal["float16", "float32"]
    texts_sha256: Digest
    entrance_sha256: Digest
    manifest_sha256: Digest
    shards: tuple[_ShardRecord, ...]
    pairs: Literal["apart"] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if list(self.layers) != sorted(set(self.layers)) or self.layers[-1] > self.depth:
            raise ValueError("layers are not in ascending order, or more than the encoder has")
        files = set(layout.shard_files(self.layers))
        if any(shard.files.keys() != files for shard in self.shards):
            raise ValueError("a shard's files are not its tokens and the layers kept")
        if len({shard.name for shard in self.shards}) != len(self.shards):
            raise ValueError("two shards have one name")
        if self.pairs is None and "pairs" in self.model_fields_set:
            raise ValueError("'pairs' is there only where they are apart")
        return self


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes ``manifest.json`` as canonical JSON with a digest of itself, read-only."""
    content = {"format": layout.FORMAT_VERSION, **asdict(manifest)}
    if manifest.pairs is None:
        del content["pairs"]
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
    try:
        data = read_bytes(path)
        content = parse_json(data)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None
    except (ValueError, SpecialFileError, LargeFileError) as error:
        raise _damaged(path, error) from None
    version = content.get("format") if isinstance(content, dict) else None
    if version != layout.FORMAT_VERSION:
        raise StoreError(
            f"{path}: has format version {version!s:.20}, this code reads version "
            f"{layout.FORMAT_VERSION}; use the code that wrote it, or extract again"
        )
    content.pop(_SELF, None)
    try:
        if data != _signed(content):
            raise _damaged(path, "its bytes are not those that were written")
        record = parse_record(_ManifestRecord, data)
    except ValueError as error:
        raise _damaged(path, error) from None
    return Manifest(
        recipe=content["recipe"],
        layers=record.layers,
        width=record.width,
        depth=record.depth,
        dtype=record.dtype,
        texts_sha256=record.texts_sha256,
        entrance_sha256=record.entrance_sha256,
        shards=tuple(
            ShardEntry(shard.name, shard.rows, shard.tokens, shard.files) for shard in record.shards
        ),
        pairs=record.pairs,
    )


def _damaged(path: Path, problem: object) -> StoreError:
    return StoreError(
        f"{path}: is damaged ({problem!s:.200}); `python -m stages.store verify --repair` makes it "
        "anew"
    )


def _signed(content: dict[str, Any]) -> bytes:
    """The bytes of a manifest: one line of canonical JSON that holds the digest of the rest."""
    digest = hashlib.sha256(canonical_json(content).encode("utf-8")).hexdigest()
    return (canonical_json({**content, _SELF: digest}) + "\n").encode("utf-8")
