"""Roles of the files that an encoder is made of; a file's name alone tells which one it has."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.paths import is_member_name

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
FAST_TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (
    FAST_TOKENIZER,
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
"""Files of tokenizers; a model has some of them."""
SLOW_TOKENIZER_FILES = ("bpe.codes", "tokenizer.model")
"""Files of tokenizers that are read only where a model lacks ``FAST_TOKENIZER``."""


def is_weights_name(name: object) -> bool:
    """Whether a name, wherever it comes from, is that of a file of weights."""
    return isinstance(name, str) and is_member_name(name) and name.endswith(".safetensors")


def role_of(name: str) -> str | None:
    """Role of a file of an encoder: weights, config, tokenizer or code; ``None`` if it has none."""
    if name == CONFIG:
        return "config"
    if name in TOKENIZER_FILES or name in SLOW_TOKENIZER_FILES:
        return "tokenizer"
    if name == INDEX or is_weights_name(name):
        return "weights"
    if is_member_name(name) and name.endswith(".py"):
        return "code"
    return None


def by_role(digests: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Digests of files by role; that of code is there only where there is some."""
    roles: dict[str, dict[str, str]] = {"weights": {}, "config": {}, "tokenizer": {}}
    for name, digest in digests.items():
        role = role_of(name)
        if role is None:
            raise ValueError(f"{name} is no file of an encoder")
        roles.setdefault(role, {})[name] = digest
    return roles
