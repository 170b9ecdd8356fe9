"""What a model's configuration may say, checked before transformers reads it.

A configuration is data, and transformers obeys it: it fetches attention kernels that it names,
runs another library for quantised weights, and lists layers and labels as often as it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import EncoderError
from pipeline.core.reading import parse_json, read_bytes

DEPTH_NAMES = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers")
WIDTH_NAMES = ("hidden_size", "dim", "n_embd", "emb_dim", "d_model")
POSITION_NAMES = ("max_position_embeddings", "n_positions")

_DEEPEST = 1024
"""Layers of a model; the deepest encoders in use have less than a hundred."""

_MOST = 100_000
"""Of what is counted and listed one by one, as labels are."""

_COUNTED = re.compile(r"(?:^|_)(?:layers?|labels|groups?|group_num|blocks?)$")

_ATTENTION = re.compile(r"_?(?:attn|experts)_implementation(?:_internal)?")
_BUILT_IN = (None, "eager", "sdpa")
"""Attention that transformers has itself; any other name may be that of a kernel on the Hub."""

_OTHERS = (
    "backbone",
    "base_model_name_or_path",
    "distributed_config",
    "fusion_config",
    "gguf_file",
    "kernel_config",
    "quantization_config",
    "transformers_weights",
    "use_kernels",
    "use_pretrained_backbone",
    "use_timm_backbone",
)
"""Settings that bring in other files, models or libraries than those of the encoder."""

_PATHS = (
    "gguf_file",
    "mecab_option",
    "merges_file",
    "spm_file",
    "sudachi_config_path",
    "sudachi_resource_dir",
    "vocab_file",
)
"""Settings of a tokenizer that would be opened as paths; nothing that saves one writes them."""


def json_object(path: Path, source: str) -> dict[str, Any]:
    """Content of a JSON file that must be an object.

    Raises:
        EncoderError: it is not.
        OSError: it is no regular file, too large, or cannot be read.
    """
    try:
        content = parse_json(read_bytes(path))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise EncoderError(f"encoder {source!r}: {path.name} is damaged: not a JSON object")
    return content


def config_size(config: Mapping[str, Any], names: tuple[str, ...], source: str) -> int:
    """Size in a model's configuration, by the names that it has in one family or another.

    Raises:
        EncoderError: the configuration has none of the names, or no size there.
    """
    for name in names:
        value = config.get(name)
        if value is not None:
            if type(value) is not int or value < 1:  # a bool is an int
                raise EncoderError(
                    f"encoder source {source!r}: its config.json has {name} {_show(value)}; "
                    "it must be a whole number above 0"
                )
            return int(value)
    raise EncoderError(f"encoder source {source!r}: its config.json has no {names[0]}")


def check_config(config: Mapping[str, Any], source: str) -> None:
    """Refuses a configuration that asks for more than the files of the model, or for too much.

    Raises:
        EncoderError: it does.
    """
    where = f"encoder source {source!r}: its config.json"
    for name in DEPTH_NAMES:
        depth = config.get(name)
        if isinstance(depth, int) and depth > _DEEPEST:
            raise EncoderError(f"{where} has {name} {_show(depth)}; at most {_DEEPEST} are read")
    if not isinstance(config.get("model_type"), str | None):
        raise EncoderError(f"{where} has model_type {_show(config['model_type'])}; it is a name")
    for key, value in _settings(config):
        if _ATTENTION.fullmatch(key) and value not in _BUILT_IN:
            raise EncoderError(
                f"{where} has {key} {_show(value)}, which may be code from elsewhere; "
                "remove that setting"
            )
        if key in _OTHERS and value not in (None, False):
            raise EncoderError(
                f"{where} has {key}, and an encoder is read from its own files only, in plain "
                "precision; save the model without it"
            )
        if _COUNTED.search(key) and isinstance(value, int) and value > _MOST:
            raise EncoderError(f"{where} has {key} {_show(value)}; at most {_MOST:,} are read")


def check_tokenizer_config(config: Mapping[str, Any], source: str) -> None:
    """Refuses a tokenizer's configuration that names files as paths.

    Raises:
        EncoderError: it does.
    """
    for key, value in _settings(config):
        if key in _PATHS and value is not None:
            raise EncoderError(
                f"encoder source {source!r}: its tokenizer_config.json has {key} "
                f"{_show(value)}, a path; remove that setting"
            )


def own_code(configs: Mapping[str, Mapping[str, Any]], source: str) -> list[str]:
    """Names of Python classes that configurations give as the model's own.

    Args:
        configs: configuration of the model and of its tokenizer, by file.
        source: what errors call the model.

    Raises:
        EncoderError: one is in another repository, or is no name.
    """
    named: list[str] = []
    for file, config in configs.items():
        mapped = config.get("auto_map") or {}
        targets = list(mapped.values()) if isinstance(mapped, dict) else mapped
        if not isinstance(targets, list):
            targets = [targets]
        for target in targets:
            named += [
                _class_name(name, file, source)
                for name in (target if isinstance(target, list) else [target])
                if name is not None
            ]
    return named


def _class_name(name: object, file: str, source: str) -> str:
    if not isinstance(name, str):
        raise EncoderError(f"encoder source {source!r}: {file} is damaged: auto_map has no names")
    if "--" in name:
        raise EncoderError(
            f"encoder source {source!r}: its code is in {name.split('--')[0]!r}, not in "
            "the model; save the model with its code in a folder, and use that"
        )
    return name


def _settings(config: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth; ``parse_json`` bounds how deep that is."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield key, value
            yield from _settings(value)
    elif isinstance(config, list):
        for value in config:
            yield from _settings(value)


def _show(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
