"""Names in the feature store's files, defined once. docs/feature-store-format.md is the spec."""

from __future__ import annotations

import re
from collections.abc import Iterable

FORMAT_VERSION = 1
EXTRACTOR_VERSION = 2
"""Version of the values that extraction writes for a recipe; raised when they change."""

# In data/features/<features>/
MANIFEST = "manifest.json"
INDEX_FILE = "features.h5"
SHARDS = "shards"

# In shards/<shard>/
TOKENS = "tokens.h5"

# Datasets of tokens.h5
KEY_BYTES = 32
INPUT_IDS = "input_ids"
SEGMENT_IDS = "segment_ids"
WORD_INDEX = "word_index"
CHAR_OFFSETS = "char_offsets"
ROW_OFFSETS = "row_offsets"
ROW_KEYS = "row_keys"
ROW_FULL_LENGTH = "row_full_length"
ROW_WORDS = "row_words"
PER_TOKEN: dict[str, tuple[tuple[int, ...], str]] = {
    INPUT_IDS: ((), "int32"),
    SEGMENT_IDS: ((), "int8"),
    WORD_INDEX: ((), "int32"),
    CHAR_OFFSETS: ((2,), "int32"),
}
PER_ROW: dict[str, tuple[tuple[int, ...], str]] = {
    ROW_KEYS: ((KEY_BYTES,), "uint8"),
    ROW_FULL_LENGTH: ((), "int32"),
    ROW_WORDS: ((), "int32"),
}
"""Shape and type of what each token, and each row, has."""

# Dataset of layer_<NN>.h5
HIDDEN = "hidden"

# Groups and datasets of features.h5
EXAMPLES_ID = "examples/id"
EXAMPLES_ROW = "examples/row"
EXAMPLES_ROW_B = "examples/row_b"
"""Of the second text of a pair, where the texts of pairs are rows of their own."""
ROWS_OFFSETS = "rows/offsets"
ROWS_KEYS = "rows/keys"

NAME_DIGITS = 32
"""Hexadecimal digits of a digest that name a shard, or a recipe's folder in the store."""

MOST_LAYERS = 1 << 10
WIDEST = 1 << 16
LONGEST_ROW = 1 << 20
MOST_TOKENS = 1 << 40
"""Bounds of what files may say of themselves, far above anything in use: depth, width of a state,
``max_length``, tokens (and rows) of a shard."""

_SHARD = re.compile(f"[0-9a-f]{{{NAME_DIGITS}}}")
_FILE = re.compile(r"tokens\.h5|layer_[0-9]{2,4}\.h5")

FILL_INTEGER = -9
"""What a virtual dataset of whole numbers reads where a shard is missing; states read NaN."""

ATTRIBUTE_TYPE = "encoding-type"
ATTRIBUTE_VERSION = "encoding-version"
ATTRIBUTE_LAYER = "layer"
TYPE_TOKENS = "icehouse-tokens"
TYPE_LAYER = "icehouse-layer"
TYPE_INDEX_FILE = "icehouse-features"
TYPE_EXPORT = "icehouse-export"

# One library version bound for all files, so that equal content is equal bytes.
LIBVER = ("v110", "v110")


def layer_file(layer: int) -> str:
    """File of one layer in a shard's folder."""
    return f"layer_{layer:02d}.h5"


def layer_path(layer: int) -> str:
    """Virtual dataset of one layer in ``features.h5``."""
    return f"layers/{layer:02d}"


def token_path(dataset: str) -> str:
    """Virtual dataset of one per-token value in ``features.h5``."""
    return f"tokens/{dataset}"


def shard_path(shard: str, file: str) -> str:
    """A shard's file, relative to the folder of ``features.h5``."""
    return f"{SHARDS}/{shard}/{file}"


def is_shard_name(name: str) -> bool:
    """Whether a folder can be a shard, or a recipe's in a store: 32 hexadecimal digits."""
    return _SHARD.fullmatch(name) is not None


def is_shard_file(name: str) -> bool:
    """Whether a file can be one of a shard."""
    return _FILE.fullmatch(name) is not None


def shard_files(layers: Iterable[int]) -> list[str]:
    """Names of all files of a shard that keeps some layers."""
    return [TOKENS, *map(layer_file, layers)]
