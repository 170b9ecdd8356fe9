"""Materialises an encoder: its files, frozen in one folder, with the digest of each.

Everything later reads that folder and nothing else, so that next year needs neither the Hub nor
luck, and weights that change at their source are never mixed with old features.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.errors import EncoderError
from pipeline.core.files import atomic_directory, readable_json, sha256_file
from pipeline.core.packages import PackageFilesMissingError, package_files
from pipeline.encoder.settings import EncoderSettings

DESCRIPTION = "encoder.json"
CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)
"""What tokenizers of BERT-type models are made of; a model has some of them."""
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
"""Types whose positions start one after the id of the padding token: they have so many fewer."""


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
        """What decides the values that this encoder computes; goes into every recipe."""
        parts = {"weights": self.weights, "config": self.config, "tokenizer": self.tokenizer}
        return parts | {"code": self.code} if self.code else parts


def materialise(settings: EncoderSettings, folder: Path) -> None:
    """Copies the encoder's files into ``folder`` with a description of them.

    Raises:
        EncoderError: the source cannot be found, lacks weights, a configuration or a tokenizer, or
            is not just an encoder.
    """
    files = _files(settings)
    with atomic_directory(folder) as temporary:
        for name, path in files.items():
            shutil.copyfile(path, temporary / name)
        digests = {name: sha256_file(temporary / name) for name in files}
        config = _json_object(temporary / CONFIG, settings.source)
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
    description = _json_object(folder / DESCRIPTION, str(folder))
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


def source_files(settings: EncoderSettings) -> dict[str, Path]:
    """All files at the top of an encoder's source, by name, wherever the source is.

    Raises:
        EncoderError: there is no such source.
    """
    if settings.kind == "package":
        prefix = settings.source.removeprefix("package:")
        try:
            return package_files(prefix)
        except PackageFilesMissingError as error:
            raise EncoderError(
                f"encoder source {settings.source!r}: {error}; install the package, "
                f"for the default encoder with `make setup`"
            ) from None
    folder = (
        Path(settings.source).expanduser()
        if settings.kind == "folder"
        else _download(settings.source, settings.revision)
    )
    if not folder.is_dir():
        raise EncoderError(
            f"encoder source {settings.source!r}: no such folder; a model of the Hub is written "
            "without ./ before its name, and save_pretrained writes a folder"
        )
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}


def encoder_files(
    files: Mapping[str, Path], source: str, *, with_code: bool = False
) -> dict[str, Path]:
    """Chooses the files that an encoder is made of: configuration, weights, tokenizer, any code.

    Raises:
        EncoderError: one of the first three is not there, the weights are not safetensors, or the
            code is asked for and is somewhere else.
    """
    weights = [name for name in files if name.endswith(".safetensors") and "/" not in name]
    index = "model.safetensors.index.json"
    if index in files:
        listed = _json_object(files[index], source).get("weight_map")
        if not isinstance(listed, dict):
            raise EncoderError(f"encoder source {source!r}: {index} has no weight_map")
        weights = [index, *sorted(set(listed.values()))]
    elif "model.safetensors" in weights:
        weights = ["model.safetensors"]
    tokenizer = [name for name in TOKENIZER_FILES if name in files]
    for role, names, advice in (
        ("config.json", [CONFIG] if CONFIG in files else [], "is it a transformers model?"),
        ("safetensors weights", weights, "convert them with save_pretrained; pickles are not read"),
        ("tokenizer files", tokenizer, "save the model's tokenizer beside it"),
    ):
        if not names or any(name not in files for name in names):
            raise EncoderError(f"encoder source {source!r}: has no {role}; {advice}")
    code = _code_files(files, source) if with_code else []
    return {name: files[name] for name in sorted({CONFIG, *weights, *tokenizer, *code})}


def source_config(settings: EncoderSettings) -> dict[str, Any] | None:
    """The model's configuration if it can be read without the network, else ``None``."""
    if settings.kind == "hub":
        return None
    path = source_files(settings).get(CONFIG)
    if path is None:
        raise EncoderError(f"encoder source {settings.source!r}: has no {CONFIG}")
    return _json_object(path, settings.source)


def changed_files(settings: EncoderSettings, folder: Path) -> list[str]:
    """Names of files that differ between a source folder and the snapshot made of it."""
    snapshot = read_snapshot(folder, verify=False)
    known = {name: sha for role in snapshot.fingerprint().values() for name, sha in role.items()}
    now = _files(settings)
    return sorted(
        name
        for name in {*known, *now}
        if name not in now or name not in known or sha256_file(now[name]) != known[name]
    )


def hub_commit(model: str) -> str | None:
    """The commit that a Hub model's main branch is at now; ``None`` without a network."""
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(model, timeout=5).sha
    except Exception:  # whatever the network does, the advice below works without it
        return None


def pin_advice(model: str) -> str:
    """What to write as ``revision`` for a Hub model that has none."""
    commit = hub_commit(model)
    if commit is not None:
        return f"a Hub model needs a commit; its main branch is now at: revision: {commit}"
    return (
        "a Hub model needs a commit, and the Hub could not be asked for it; copy the 40 "
        "hexadecimal digits from the model page, 'Files and versions', 'History'"
    )


def config_size(config: Mapping[str, Any], names: tuple[str, ...], source: str) -> int:
    """A number of a model's configuration, by the names that it has in one family or another.

    Raises:
        EncoderError: the configuration has none of the names.
    """
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise EncoderError(f"encoder source {source!r}: its config.json has no {names[0]}")


def _files(settings: EncoderSettings) -> dict[str, Path]:
    return encoder_files(
        source_files(settings), settings.source, with_code=settings.trust_remote_code
    )


def _code_files(files: Mapping[str, Path], source: str) -> list[str]:
    """The model's own Python files, which its configurations must name as its own."""
    mapped: list[str | None] = []
    for name in (CONFIG, TOKENIZER_CONFIG):
        named = _json_object(files[name], source).get("auto_map", {}) if name in files else {}
        for target in named.values() if isinstance(named, dict) else named:
            mapped += target if isinstance(target, list) else [target]
    for target in mapped:
        if target is not None and "--" in target:
            raise EncoderError(
                f"encoder source {source!r}: its code is in {target.split('--')[0]!r}, not in "
                "the model; save the model with its code in a folder, and use that"
            )
    code = [name for name in files if name.endswith(".py") and "/" not in name]
    if not mapped or not code:
        raise EncoderError(
            f"encoder source {source!r}: has no code of its own; remove trust_remote_code"
        )
    return code


def _download(model: str, revision: str | None) -> Path:
    if revision is None:
        raise EncoderError(f"encoder source {model!r}: {pin_advice(model)}")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download

    wanted = [CONFIG, "*.safetensors", "model.safetensors.index.json", *TOKENIZER_FILES, "*.py"]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"encoder source {model!r} at {revision[:8]}: cannot be downloaded: {reason}; "
            f"check name and network, or run `hf download {model} --revision {revision} "
            "--local-dir DIR` where there is one, and use DIR as source"
        ) from error


def _json_object(path: Path, source: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        content = None
    if not isinstance(content, dict):
        raise EncoderError(f"encoder {source!r}: {path.name} is damaged: not a JSON object")
    return content


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
