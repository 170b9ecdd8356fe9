"""Reader of features: lazy, memory-mapped, and never through the virtual datasets.

The shards' own files are opened, because a virtual dataset reads a missing shard as its fill value
without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import StoreError
from pipeline.core.paths import inside
from pipeline.core.reading import SpecialFileError
from pipeline.features import layout
from pipeline.features.hash_cache import HashCache
from pipeline.features.hdf5 import REPAIR, Hdf5File
from pipeline.features.index_file import IndexTables, read_index
from pipeline.features.manifest import Manifest, read_manifest
from pipeline.features.shards import ShardTokens, all_finite, map_layer, read_column, read_tokens

_IDS_AT_A_TIME = 4096


def open_features(path: str | Path) -> Features:
    """Opens ``data/features/<features>``.

    Raises:
        StoreError: there are no complete features of a known version.
    """
    return Features(Path(path))


@dataclass(frozen=True)
class ExampleTokens:
    """The tokens of one example, special tokens included.

    Attributes:
        input_ids: (tokens,) int32.
        segment_ids: (tokens,) int8, 1 in the second text of a pair.
        word_index: (tokens,) int32, the word that each token belongs to, -1 for special tokens.
        char_offsets: (tokens, 2) int32, where each token stands in the text (or in its own word,
            where the input is words); (-1, -1) for special tokens.
    """

    input_ids: npt.NDArray[np.int32]
    segment_ids: npt.NDArray[np.int8]
    word_index: npt.NDArray[np.int32]
    char_offsets: npt.NDArray[np.int32]


class Features:
    """The hidden states of one corpus under one encoder.

    Rows are the distinct inputs; the example table maps every example to its row, or, where the
    texts of pairs are apart, to the rows of both. Files are opened when first asked for, and an
    object that is handed to another process opens its own.

    Example:
        >>> features = open_features("data/features/tweets")
        >>> states = features.states("17", layer=features.layers[-1])  # (tokens, width) float32
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        self._maps: dict[tuple[str, int], npt.NDArray[Any]] = {}
        self._held: tuple[int, ShardTokens] | None = None
        self._checked: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        # Memory maps pickle as their contents: gigabytes, where the path is enough.
        kept = {"folder": self.folder, "manifest": self.manifest}
        return {**kept, "_maps": {}, "_held": None, "_checked": set()}

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.example_ids)

    def __iter__(self) -> Iterator[str]:
        """The ids of the examples, in corpus order."""
        return iter(self.example_ids)

    def __repr__(self) -> str:
        return f"<Features {self.folder}: layers {self.layers}, {self.manifest.tokens} tokens>"

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers kept, in ascending order."""
        return self.manifest.layers

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return self.manifest.width

    @property
    def pairs_apart(self) -> bool:
        """Whether examples are pairs of texts, each text a row of its own."""
        return self.manifest.pairs == "apart"

    @cached_property
    def example_ids(self) -> list[str]:
        """Id of every example, in corpus order."""
        with self._index_file() as file, file.texts(layout.EXAMPLES_ID) as texts:
            ids: list[str] = texts[()].tolist()
            if len(ids) != len(self.example_rows) or len(set(ids)) != len(ids):
                raise file.damaged("two of its examples have one id")
        return ids

    def are_of(self, ids: Sequence[str]) -> bool:
        """Whether the examples are these, in this order; reads a part at a time and keeps none."""
        with self._index_file() as file, file.texts(layout.EXAMPLES_ID) as held:
            return len(held) == len(self.example_rows) == len(ids) and all(
                held[begin : begin + _IDS_AT_A_TIME].tolist()
                == list(ids[begin : begin + _IDS_AT_A_TIME])
                for begin in range(0, len(ids), _IDS_AT_A_TIME)
            )

    @property
    def example_rows(self) -> npt.NDArray[np.int64]:
        """(examples,) int64: the row of every example; of pairs apart, (examples, 2)."""
        return self._index.example_rows

    @property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(rows + 1,) int64: the first token of every row, then the number of tokens."""
        return self._index.row_offsets

    def per_token(self, name: str) -> npt.NDArray[Any]:
        """(tokens, ...) one of ``input_ids``, ``segment_ids``, ``word_index``, ``char_offsets``."""
        return self._column(name)

    def per_row(self, name: str) -> npt.NDArray[Any]:
        """(rows, ...) one of ``row_keys``, ``row_full_length``, ``row_words``."""
        return self._column(name)

    def layer_shards(self, layer: int) -> list[npt.NDArray[Any]]:
        """One layer as memory maps, one per shard: (tokens, width) in the stored precision.

        Raises:
            StoreError: the layer is not kept, or a shard is missing or not of the shape it must be.
        """
        return [self._map(number, layer) for number in self._numbers]

    def states(self, example_id: str, *, layer: int, text: int = 0) -> npt.NDArray[np.float32]:
        """(tokens, width) float32: the states of one example at one layer, specials included.

        Args:
            example_id: of the example.
            layer: one that is kept, counted from the start.
            text: of pairs apart, 0 for the first text and 1 for the second.

        Raises:
            KeyError: there is no such example.
            IndexError: it has no such text.
            StoreError: the layer is not kept.
        """
        number, begin, end = self._place(example_id, text)
        states: npt.NDArray[np.float32] = self._map(number, layer)[begin:end].astype(np.float32)
        if not all_finite(states):
            raise _not_finite(self._path(number, layout.layer_file(layer)))
        return states

    def tokens(self, example_id: str, *, text: int = 0) -> ExampleTokens:
        """The tokens of one example; arguments and errors are those of ``states``."""
        number, begin, end = self._place(example_id, text)
        held = self._tokens(number).per_token
        return ExampleTokens(*(held[name][begin:end] for name in layout.PER_TOKEN))

    def verify(self) -> None:
        """Reads every file, and checks its digest and what it holds.

        Raises:
            StoreError: files are missing, damaged or not as the format says; it names the first,
                and how many are missing or damaged.
        """
        self.check(self.layers, HashCache())
        _ = self.example_ids

    def check(self, layers: Sequence[int], hash_cache: HashCache) -> None:
        """Checks the files that training on ``layers`` reads: their digests, and what they hold.

        Raises:
            StoreError: a file is missing, not the one that was written, or not as the format says.
        """
        read = {layout.INDEX_FILE, *layout.shard_files(layers)}
        expected = {
            name: digest for name, digest in self.manifest.digests() if Path(name).name in read
        }
        self._compare(expected, hash_cache)
        _ = self._index
        for number in self._numbers:
            # They are looked at again when they are read; most heads read states alone.
            path = self._path(number, layout.TOKENS)
            hash_cache.is_sound(path, partial(self._has_tokens, number))
            for layer in layers:
                path = self._path(number, layout.layer_file(layer))
                if not hash_cache.is_sound(path, partial(all_finite, self._map(number, layer))):
                    raise _not_finite(path)

    def _compare(self, expected: dict[str, str], hash_cache: HashCache) -> None:
        wrong = []
        for name, digest in expected.items():
            path = inside(self.folder, name)
            try:
                if hash_cache.sha256(path) != digest:
                    wrong.append(f"{path}: is damaged, its bytes are not those that were written")
            except (FileNotFoundError, SpecialFileError):
                wrong.append(f"{path}: is missing")
        if wrong:
            more = f" (and {len(wrong) - 1} more files)" if len(wrong) > 1 else ""
            raise StoreError(f"{wrong[0]}{more}; run `python -m stages.store verify --repair`")

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {example: position for position, example in enumerate(self.example_ids)}

    @property
    def _numbers(self) -> range:
        """Positions of the shards."""
        return range(len(self.manifest.shards))

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        """(shards + 1,) the first token of each shard, then the number of tokens."""
        return np.cumsum([0, *(shard.tokens for shard in self.manifest.shards)], dtype=np.int64)

    def _place(self, example_id: str, text: int) -> tuple[int, int, int]:
        """The shard of an example's text, its first token there, and the one after its last."""
        row = int(np.atleast_1d(self.example_rows[self._positions[example_id]])[text])
        begin, end = (int(offset) for offset in self.row_offsets[row : row + 2])
        number = int(np.searchsorted(self._starts, begin, side="right")) - 1
        first = int(self._starts[number])
        return number, begin - first, end - first

    def _path(self, number: int, file: str) -> Path:
        return inside(self.folder, layout.shard_path(self.manifest.shards[number].name, file))

    def _index_file(self) -> Hdf5File:
        return Hdf5File(inside(self.folder, layout.INDEX_FILE), layout.TYPE_INDEX_FILE)

    @cached_property
    def _index(self) -> IndexTables:
        with self._index_file() as file:
            return read_index(file, self.manifest)

    def _tokens(self, number: int) -> ShardTokens:
        """The tokens of a shard, which are those that manifest and index file say it has."""
        if self._held is not None and self._held[0] == number:
            return self._held[1]
        shard = self.manifest.shards[number]
        path = self._path(number, layout.TOKENS)
        held = read_tokens(path, shard=shard.name)
        first = int(self._first_rows[number])
        offsets = self.row_offsets[first : first + shard.rows + 1] - self._starts[number]
        if (held.rows, held.tokens) != (shard.rows, shard.tokens) or not np.array_equal(
            held.row_offsets, offsets
        ):
            raise StoreError(
                f"{path}: has other rows than {layout.MANIFEST} and {layout.INDEX_FILE} say; "
                f"{REPAIR}"
            )
        self._held = number, held
        self._checked.add(number)
        return held

    def _has_tokens(self, number: int) -> bool:
        self._tokens(number)
        return True

    def _column(self, name: str) -> npt.NDArray[Any]:
        """One dataset of all shards' tokens, end to end."""
        shape, dtype = (layout.PER_TOKEN | layout.PER_ROW)[name]
        parts = [np.empty((0, *shape), dtype)]
        for number in self._numbers:
            if number not in self._checked:
                parts.append(self._tokens(number).column(name))
                continue
            shard = self.manifest.shards[number]
            count = shard.tokens if name in layout.PER_TOKEN else shard.rows
            with Hdf5File(self._path(number, layout.TOKENS), layout.TYPE_TOKENS) as file:
                parts.append(read_column(file, name, count))
        return np.concatenate(parts)

    @cached_property
    def _first_rows(self) -> npt.NDArray[np.int64]:
        return np.cumsum([0, *(shard.rows for shard in self.manifest.shards)], dtype=np.int64)

    def _map(self, number: int, layer: int) -> npt.NDArray[Any]:
        if layer not in self.layers:
            kept = ", ".join(map(str, self.layers))
            raise StoreError(f"{self.folder}: keeps no layer {layer}; it keeps {kept}")
        shard = self.manifest.shards[number]
        if (shard.name, layer) not in self._maps:
            self._maps[shard.name, layer] = map_layer(
                self._path(number, layout.layer_file(layer)),
                layer,
                tokens=shard.tokens,
                width=self.width,
                dtype=self.manifest.dtype,
            )
        return self._maps[shard.name, layer]


def _not_finite(path: Path) -> StoreError:
    return StoreError(f"{path}: holds states that are not finite; {REPAIR}")
