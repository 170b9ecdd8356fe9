"""Snapshot of an encoder: its files, frozen in one folder, with the digest of each.

Everything later reads that folder and nothing else, so that next year needs neither the Hub nor
luck, and weights that change at their source are never mixed with old features.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.errors import EncoderError
from pipeline.core.files import atomic_directory, readable_json, sha256_file
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.source import (
    CONFIG,
    TOKENIZER_FILES,
    config_size,
    encoder_files,
    json_object,
)

DESCRIPTION = "encoder.json"
DEPTH_NAMES = ("num_hidden_layers", "n_layers", "n_layer")
WIDTH_NAMES = ("hidden_size", "dim", "n_embd")
POSITION_NAMES = ("max_position_embeddings", "n_positions")
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
    def runs_code(self) -> bool:
        """Whether Python files of the model are part of it, and may be run."""
        return bool(self.code)

    def longest_row(self) -> int:
        """Most tokens of one row that it has positions for, special tokens included."""
        config = json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))
        positions = config_size(config, POSITION_NAMES, str(self.folder))
        if config.get("model_type") in COUNT_FROM_PADDING:
            padding = config.get("pad_token_id")
            positions -= (1 if padding is None else int(padding)) + 1
        return positions

    def fingerprint(self) -> dict[str, dict[str, str]]:
        """Digests of what decides the values that this encoder computes; part of every recipe."""
        parts = {"weights": self.weights, "config": self.config, "tokenizer": self.tokenizer}
        return parts | {"code": self.code} if self.code else parts


def materialise(settings: EncoderSettings, folder: Path) -> None:
    """Copies the encoder's files into ``folder`` with a description of them.

    Raises:
        EncoderError: the source cannot be found, lacks weights, a configuration or a tokenizer, or
            is not just an encoder.
    """
    files = encoder_files(settings)
    with atomic_directory(folder) as temporary:
        for name, path in files.items():
            shutil.copyfile(path, temporary / name)
        digests = {name: sha256_file(temporary / name) for name in files}
        config = json_object(temporary / CONFIG, settings.source)
        if config.get("is_encoder_decoder"):
            raise EncoderError(
                f"encoder source {settings.source!r}: its type {config.get('model_type')!r} has "
                "a decoder too; use a BERT-type encoder"
            )
        description = {
            # A folder's path says where one machine had it; outputs name no machine.
            "source": "folder" if settings.kind == "folder" else settings.source,
            "revision": settings.revision,
            "model_type": config.get("model_type"),
            "depth": config_size(config, DEPTH_NAMES, settings.source),
            "width": config_size(config, WIDTH_NAMES, settings.source),
            **_by_role(digests),
        }
        (temporary / DESCRIPTION).write_text(readable_json(description), encoding="utf-8")


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
    description = json_object(folder / DESCRIPTION, str(folder))
    parts = ("weights", "config", "tokenizer", "depth", "width")
    if not description.keys() >= set(parts):
        raise EncoderError(f"{folder}: {DESCRIPTION} is damaged; remove it and run `dvc repro`")
    snapshot = EncoderSnapshot(
        folder=folder,
        **{key: description[key] for key in parts},
        code=description.get("code", {}),
    )
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


def _by_role(digests: Mapping[str, str]) -> dict[str, dict[str, str]]:
    roles: dict[str, dict[str, str]] = {"weights": {}, "config": {}, "tokenizer": {}}
    for name, digest in digests.items():
        if name == CONFIG:
            roles["config"][name] = digest
        elif name in TOKENIZER_FILES:
            roles["tokenizer"][name] = digest
        elif name.endswith(".py"):
            roles.setdefault("code", {})[name] = digest
        else:
            roles["weights"][name] = digest
    return roles
