"""Reader of features: lazy, memory-mapped, and never through the virtual datasets.

The shards' own files are opened, because a virtual dataset reads a missing shard as its fill value
without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from pipeline.core.errors import StoreError
from pipeline.features import layout
from pipeline.features.hash_cache import HashCache
from pipeline.features.manifest import Manifest, ShardEntry, read_manifest

_REPAIR = "run `python -m stages.store verify --repair`"
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

    Rows are the distinct inputs; the example table maps every example to its row. Files are opened
    when first asked for, and an object that is handed to another process opens its own.

    Example:
        >>> features = open_features("data/features/tweets")
        >>> states = features.states("17", layer=features.layers[-1])  # (tokens, width) float32
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        self._maps: dict[tuple[str, int], npt.NDArray[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Memory maps pickle as their contents: gigabytes, where the path is enough.
        return {"folder": self.folder, "manifest": self.manifest, "_maps": {}}

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

    @cached_property
    def example_ids(self) -> list[str]:
        """Id of every example, in corpus order."""
        with self._open(layout.INDEX_FILE, layout.TYPE_INDEX_FILE) as file:
            ids: list[str] = file[layout.EXAMPLES_ID].asstr()[()].tolist()
        return ids

    def are_of(self, ids: Sequence[str]) -> bool:
        """Whether the examples are these, in this order; reads a part at a time and keeps none."""
        with self._open(layout.INDEX_FILE, layout.TYPE_INDEX_FILE) as file:
            held = file[layout.EXAMPLES_ID].asstr()
            return len(held) == len(ids) and all(
                held[begin : begin + _IDS_AT_A_TIME].tolist()
                == list(ids[begin : begin + _IDS_AT_A_TIME])
                for begin in range(0, len(ids), _IDS_AT_A_TIME)
            )

    @cached_property
    def example_rows(self) -> npt.NDArray[np.int64]:
        """(examples,) int64: the row of every example."""
        with self._open(layout.INDEX_FILE, layout.TYPE_INDEX_FILE) as file:
            rows: npt.NDArray[np.int64] = file[layout.EXAMPLES_ROW][()]
        return rows

    @cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(rows + 1,) int64: the first token of every row, then the number of tokens."""
        with self._open(layout.INDEX_FILE, layout.TYPE_INDEX_FILE) as file:
            offsets: npt.NDArray[np.int64] = file[layout.ROWS_OFFSETS][()]
        return offsets

    def per_token(self, name: str) -> npt.NDArray[Any]:
        """(tokens, ...) one of ``input_ids``, ``segment_ids``, ``word_index``, ``char_offsets``."""
        return self._concatenate(name)

    def per_row(self, name: str) -> npt.NDArray[Any]:
        """(rows, ...) one of ``row_keys``, ``row_full_length``, ``row_words``."""
        return self._concatenate(name)

    def layer_shards(self, layer: int) -> list[npt.NDArray[Any]]:
        """One layer as memory maps, one per shard: (tokens, width) in the stored precision.

        Raises:
            StoreError: the layer is not kept, or a shard is missing or not of the shape it must be.
        """
        return [self._map(shard, layer) for shard in self.manifest.shards]

    def states(self, example_id: str, *, layer: int) -> npt.NDArray[np.float32]:
        """(tokens, width) float32: the states of one example at one layer, specials included.

        Raises:
            KeyError: there is no such example.
            StoreError: the layer is not kept.
        """
        shard, begin, end = self._place(example_id)
        states: npt.NDArray[np.float32] = self._map(shard, layer)[begin:end].astype(np.float32)
        return states

    def tokens(self, example_id: str) -> ExampleTokens:
        """The tokens of one example.

        Raises:
            KeyError: there is no such example.
        """
        shard, begin, end = self._place(example_id)
        with self._open(layout.shard_path(shard.name, layout.TOKENS), layout.TYPE_TOKENS) as file:
            return ExampleTokens(*(file[name][begin:end] for name in layout.PER_TOKEN))

    def verify(self) -> None:
        """Reads every file and compares it with the digest in the manifest.

        Raises:
            StoreError: files are missing or damaged; it names the first, and how many there are.
        """
        self._compare(dict(self.manifest.digests()), HashCache())

    def check(self, layers: Sequence[int], hash_cache: HashCache) -> None:
        """Compares the files that training on ``layers`` reads with their digests.

        Raises:
            StoreError: a file is missing or not the one that was written.
        """
        read = {layout.INDEX_FILE, layout.TOKENS, *(layout.layer_file(layer) for layer in layers)}
        expected = {
            name: digest for name, digest in self.manifest.digests() if Path(name).name in read
        }
        self._compare(expected, hash_cache)

    def _compare(self, expected: dict[str, str], hash_cache: HashCache) -> None:
        wrong = []
        for name, digest in expected.items():
            path = self.folder / name
            try:
                if hash_cache.sha256(path) != digest:
                    wrong.append(f"{path}: is damaged, its bytes are not those that were written")
            except FileNotFoundError:
                wrong.append(f"{path}: is missing")
        if wrong:
            more = f" (and {len(wrong) - 1} more files)" if len(wrong) > 1 else ""
            raise StoreError(f"{wrong[0]}{more}; {_REPAIR}")

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {example: position for position, example in enumerate(self.example_ids)}

    @cached_property
    def _shard_starts(self) -> npt.NDArray[np.int64]:
        tokens = [shard.tokens for shard in self.manifest.shards]
        return np.concatenate([[0], np.cumsum(tokens)]).astype(np.int64)

    def _place(self, example_id: str) -> tuple[ShardEntry, int, int]:
        """The shard of an example, and its first token there and the one after its last."""
        row = int(self.example_rows[self._positions[example_id]])
        begin, end = (int(offset) for offset in self.row_offsets[row : row + 2])
        number = int(np.searchsorted(self._shard_starts, begin, side="right")) - 1
        first = int(self._shard_starts[number])
        return self.manifest.shards[number], begin - first, end - first

    def _concatenate(self, name: str) -> npt.NDArray[Any]:
        parts = []
        for shard in self.manifest.shards:
            file_name = layout.shard_path(shard.name, layout.TOKENS)
            with self._open(file_name, layout.TYPE_TOKENS) as file:
                parts.append(file[name][()])
        return np.concatenate(parts)

    def _map(self, shard: ShardEntry, layer: int) -> npt.NDArray[Any]:
        if layer not in self.layers:
            kept = ", ".join(map(str, self.layers))
            raise StoreError(f"{self.folder}: keeps no layer {layer}; it keeps {kept}")
        if (shard.name, layer) not in self._maps:
            name = layout.shard_path(shard.name, layout.layer_file(layer))
            with self._open(name, layout.TYPE_LAYER) as file:
                dataset = file[layout.HIDDEN]
                shape, dtype, offset = dataset.shape, dataset.dtype, dataset.id.get_offset()
            expected = ((shard.tokens, self.width), np.dtype(self.manifest.dtype))
            if (shape, dtype) != expected or offset is None:
                raise StoreError(f"{self.folder / name}: does not hold {expected[0]} {expected[1]}")
            self._maps[shard.name, layer] = np.memmap(self.folder / name, dtype, "r", offset, shape)
        return self._maps[shard.name, layer]

    def _open(self, name: str, kind: str) -> h5py.File:
        path = self.folder / name
        try:
            file = h5py.File(path, "r")
        except FileNotFoundError:
            raise StoreError(f"{path}: is missing; run `dvc checkout` or `dvc pull`") from None
        except OSError as error:
            raise StoreError(f"{path}: cannot be read as HDF5 ({error}); {_REPAIR}") from None
        found = (
            file.attrs.get(layout.ATTRIBUTE_TYPE),
            file.attrs.get(layout.ATTRIBUTE_VERSION),
        )
        if found != (kind, layout.FORMAT_VERSION):
            file.close()
            raise StoreError(
                f"{path}: holds {found[0]} version {found[1]}, not {kind} version "
                f"{layout.FORMAT_VERSION}; use the code that wrote it, or extract again with "
                "`dvc repro`"
            )
        return file
