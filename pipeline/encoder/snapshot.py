"""Snapshot of an encoder: its files, frozen in one folder, with the digest of each.

Everything later reads that folder and nothing else, so that next year needs neither the Hub nor
luck, and weights that change at their source are never mixed with old features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from pipeline.core.errors import EncoderError
from pipeline.core.files import atomic_directory, readable_json, sha256_file
from pipeline.core.reading import Record, open_regular, parse_record, read_bytes
from pipeline.encoder.config import (
    DEPTH_NAMES,
    POSITION_NAMES,
    WIDTH_NAMES,
    check_config,
    config_size,
    json_object,
)
from pipeline.encoder.roles import CONFIG, by_role, role_of
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.source import encoder_files

DESCRIPTION = "encoder.json"
_CHUNK = 1 << 20
_LARGEST = 1 << 24
"""Bytes of a description: a hundred thousand files."""
UNBOUNDED = 1 << 20
"""Tokens of a row where positions are relative and have no end, as those of T5."""

_RELATIVE = "relative_attention_num_buckets"
COUNT_FROM_PADDING = (
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "longformer",
    "luke",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
)
"""Model types whose positions start after the id of the padding token: they have so many fewer."""


Digests = dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
"""SHA-256 of files by name."""


class _Description(Record):
    """``encoder.json``, which whoever gives an encoder away may have written."""

    model_config = ConfigDict(protected_namespaces=())

    source: str
    revision: str | None
    model_type: str | None
    depth: int = Field(gt=0)
    width: int = Field(gt=0)
    weights: Digests = Field(min_length=1)
    config: Digests = Field(min_length=1)
    tokenizer: Digests = Field(min_length=1)
    code: Digests = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_have_their_roles(self) -> _Description:
        for role in ("weights", "config", "tokenizer", "code"):
            for name in getattr(self, role):
                if role_of(name) != role:
                    raise ValueError(f"{name!a:.60} is no file of {role}")
        return self


@dataclass(frozen=True)
class EncoderSnapshot:
    """A materialised encoder: its folder and the SHA-256 of each of its files, by role."""

    folder: Path
    weights: dict[str, str]
    config: dict[str, str]
    tokenizer: dict[str, str]
    depth: int
    width: int
    code: dict[str, str] = field(default_factory=dict)

    @property
    def has_code(self) -> bool:
        """Whether Python files of the model are part of it. Whether they may run, it cannot say."""
        return bool(self.code)

    def longest_row(self) -> int:
        """Most tokens of one row that it has positions for, special tokens included.

        T5 has relative positions only; the ``n_positions`` that its configuration may name are
        those of its pretraining, and bound nothing.

        Raises:
            EncoderError: its configuration does not say so.
        """
        config = json_object(self.folder / CONFIG, str(self.folder))
        if config.get(_RELATIVE) is not None and config.get(POSITION_NAMES[0]) is None:
            return UNBOUNDED
        positions = config_size(config, POSITION_NAMES, str(self.folder))
        if config.get("model_type") in COUNT_FROM_PADDING:
            padding = config.get("pad_token_id")
            if not isinstance(padding, int | None):
                raise EncoderError(f"{self.folder}: its config.json has no pad_token_id")
            positions -= (1 if padding is None else padding) + 1
        return positions

    def fingerprint(self) -> dict[str, dict[str, str]]:
        """Digests of what decides the values that this encoder computes; part of every recipe."""
        parts = {"weights": self.weights, "config": self.config, "tokenizer": self.tokenizer}
        return parts | {"code": self.code} if self.code else parts


def materialise(
    settings: EncoderSettings, folder: Path, *, accept: Callable[[Path], None] | None = None
) -> None:
    """Copies the encoder's files into ``folder`` with a description of them.

    Args:
        settings: where it comes from.
        folder: written whole, or not at all.
        accept: looks at the encoder before it is put into its place, and raises if it cannot be
            used.

    Raises:
        EncoderError: the source cannot be found, lacks weights, a configuration or a tokenizer, or
            is not accepted.
    """
    files = encoder_files(settings)
    with atomic_directory(folder) as temporary:
        try:
            digests = {name: _copy(path, temporary / name) for name, path in files.items()}
        except OSError as error:
            if error.filename is None:  # a write that the disk refuses does not say of what
                error.filename = str(folder)
            raise
        config = json_object(temporary / CONFIG, settings.source)
        check_config(config, settings.source)
        description = {
            # A folder's path says where one machine had it; outputs name no machine.
            "source": "folder" if settings.kind == "folder" else settings.source,
            "revision": settings.revision,
            "model_type": config.get("model_type"),
            "depth": config_size(config, DEPTH_NAMES, settings.source),
            "width": config_size(config, WIDTH_NAMES, settings.source),
            **by_role(digests),
        }
        (temporary / DESCRIPTION).write_text(readable_json(description), encoding="utf-8")
        if accept is not None:
            try:
                accept(temporary)
            except EncoderError as error:
                source = f"encoder source {settings.source!r}"
                raise EncoderError(str(error).replace(str(temporary), source)) from None


def read_snapshot(folder: Path, *, verify: bool) -> EncoderSnapshot:
    """Reads the description of a materialised encoder.

    Args:
        folder: what ``materialise`` wrote.
        verify: also compare every file with its digest (reads all weights once).

    Raises:
        EncoderError: the folder is no materialised encoder, or a file is not as described.
    """
    if not (folder / DESCRIPTION).is_file():
        raise EncoderError(
            f"{folder}: holds no encoder ({DESCRIPTION} is missing); run `dvc repro`"
        )
    try:
        found = parse_record(_Description, read_bytes(folder / DESCRIPTION, limit=_LARGEST))
    except ValueError as error:
        raise EncoderError(
            f"{folder}: {DESCRIPTION} is damaged: {error!s:.200}; remove it and run `dvc repro`"
        ) from None
    parts = ("weights", "config", "tokenizer", "code", "depth", "width")
    snapshot = EncoderSnapshot(folder=folder, **{key: getattr(found, key) for key in parts})
    if verify:
        for digests in snapshot.fingerprint().values():
            for name, expected in digests.items():
                path = folder / name
                if not path.is_file() or sha256_file(path) != expected:
                    raise EncoderError(
                        f"{path}: is not the file that was materialised; "
                        f"remove {folder} and run `dvc repro`"
                    )
    return snapshot


def changed_files(settings: EncoderSettings, folder: Path) -> list[str]:
    """Names of files that differ between a source folder and the snapshot made of it."""
    snapshot = read_snapshot(folder, verify=False)
    known = {name: sha for role in snapshot.fingerprint().values() for name, sha in role.items()}
    now = encoder_files(settings)
    return sorted(
        name
        for name in {*known, *now}
        if name not in now or name not in known or sha256_file(now[name]) != known[name]
    )


def _copy(source: Path, target: Path) -> str:
    """Copies a regular file, and gives its SHA-256."""
    digest = hashlib.sha256()
    with open_regular(source) as given, target.open("wb") as file:
        while chunk := given.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
