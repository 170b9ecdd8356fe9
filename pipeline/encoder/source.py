"""Sources of encoders: the Hub, a folder or a package, and which of their files make an encoder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import EncoderError
from pipeline.core.packages import PackageFilesMissingError, package_files
from pipeline.encoder.config import DEPTH_NAMES, json_object, own_code
from pipeline.encoder.roles import (
    CONFIG,
    FAST_TOKENIZER,
    INDEX,
    SLOW_TOKENIZER_FILES,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    is_weights_name,
    role_of,
)
from pipeline.encoder.settings import EncoderSettings


def encoder_files(settings: EncoderSettings) -> dict[str, Path]:
    """Files that an encoder is made of, by name, wherever its source is.

    Raises:
        EncoderError: there is no such source, or it is no encoder.
    """
    return choose_files(
        source_files(settings), settings.source, with_code=settings.trust_remote_code
    )


def source_files(settings: EncoderSettings) -> dict[str, Path]:
    """Files at the top of an encoder's source, by name, wherever the source is.

    Raises:
        EncoderError: there is no such source.
    """
    if settings.kind == "package":
        prefix = settings.source.removeprefix("package:")
        try:
            files = package_files(prefix)
        except PackageFilesMissingError as error:
            raise EncoderError(
                f"encoder source {settings.source!r}: {error}; install the package, "
                f"for the default encoder with `make setup`"
            ) from None
        return {name: path for name, path in files.items() if path.is_file()}
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


def choose_files(
    files: Mapping[str, Path], source: str, *, with_code: bool = False
) -> dict[str, Path]:
    """Files that make an encoder: configuration, weights, tokenizer, any code.

    Raises:
        EncoderError: one of the first three is not there, the weights are not safetensors, or the
            code is asked for and is somewhere else.
    """
    weights = [name for name in files if is_weights_name(name)]
    if INDEX in files:
        weights = [INDEX, *indexed_weights(files[INDEX], source)]
    elif "model.safetensors" in weights:
        weights = ["model.safetensors"]
    tokenizer = [name for name in TOKENIZER_FILES if name in files]
    if FAST_TOKENIZER not in files:
        tokenizer += [name for name in SLOW_TOKENIZER_FILES if name in files]
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
    return json_object(path, settings.source)


def source_depth(settings: EncoderSettings) -> int | None:
    """Encoder layers of the model if they can be read without the network, else ``None``.

    Raises:
        EncoderError: there is no such source, or its configuration is damaged.
    """
    config = source_config(settings) or {}
    return next((config[key] for key in DEPTH_NAMES if isinstance(config.get(key), int)), None)


def hub_commit(model: str) -> str | None:
    """The commit that a Hub model's main branch is at now; ``None`` without a network."""
    from huggingface_hub import HfApi

    try:
        return HfApi().model_info(model, timeout=5).sha
    except Exception:  # whatever the network does, the advice below works without it
        return None


def pin_advice(model: str) -> str:
    """Advice on the ``revision`` of a Hub model that has none."""
    commit = hub_commit(model)
    if commit is not None:
        return f"a Hub model needs a commit; its main branch is now at: revision: {commit}"
    return (
        "a Hub model needs a commit, and the Hub could not be asked for it; copy the 40 "
        "hexadecimal digits from the model page, 'Files and versions', 'History'"
    )


def indexed_weights(index: Path, source: str) -> list[str]:
    """Files of weights that an index names.

    Raises:
        EncoderError: it names none, or something else.
    """
    listed = json_object(index, source).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise EncoderError(f"encoder source {source!r}: {INDEX} has no weight_map")
    for name in listed.values():
        if not is_weights_name(name):
            raise EncoderError(
                f"encoder source {source!r}: {INDEX} names {name!a:.60}, which is no file "
                "of safetensors weights"
            )
    return sorted(set(listed.values()))


def _code_files(files: Mapping[str, Path], source: str) -> list[str]:
    """The model's own Python files, which its configurations must name as its own."""
    configs = {
        name: json_object(files[name], source)
        for name in (CONFIG, TOKENIZER_CONFIG)
        if name in files
    }
    code = [name for name in files if role_of(name) == "code"]
    if not own_code(configs, source) or not code:
        raise EncoderError(
            f"encoder source {source!r}: has no code of its own; remove trust_remote_code"
        )
    return code


def _download(model: str, revision: str | None) -> Path:
    if revision is None:
        raise EncoderError(f"encoder source {model!r}: {pin_advice(model)}")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download

    wanted = [CONFIG, "*.safetensors", INDEX, *TOKENIZER_FILES, *SLOW_TOKENIZER_FILES, "*.py"]
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"encoder source {model!r} at {revision[:8]}: cannot be downloaded: {reason}; "
            f"check name and network, or run `hf download {model} --revision {revision} "
            "--local-dir DIR` where there is one, and use DIR as source"
        ) from error
