"""One shuffled pass over 2 GB of features as float32 batches: ours, rows by h5py, and memcpy."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from benchmarks.measure import Bar, interleaved, report, table
from pipeline.core.environment import keep_freed_memory, use_threads
from pipeline.core.files import READ_ONLY, write_bytes
from pipeline.features import layout
from pipeline.features.manifest import Manifest, ShardEntry, write_manifest
from pipeline.features.reader import Features, open_features
from pipeline.features.shards import ShardTokens
from pipeline.store.keys import Recipe, shard_name
from pipeline.store.layer_image import layer_file
from pipeline.store.writer import index_file, key_array, row_offsets, tokens_file
from pipeline.training.batches import epoch_batches
from pipeline.training.states import MappedStates

WIDTH = 384
BYTES = 2e9
SHARD_TOKENS = 4096
LAYER = 6
BATCH = 32
RECIPE = Recipe({"weights": {}, "config": {}, "tokenizer": {}}, 512, "error", "float32", "float16")


def main() -> None:
    """Prints gigabytes of features per second of each contestant, and the bars."""
    use_threads()
    keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="icehouse-bench-") as name:
        folder = Path(name)
        features = _make_features(folder / "features")
        _one_file(features, folder / "one.h5")
        lengths = np.diff(features.row_offsets)
        rng = np.random.default_rng(0)
        batches = list(epoch_batches(np.arange(len(lengths)), lengths, batch_size=BATCH, rng=rng))
        states = MappedStates(features, [LAYER])
        _same_values(states, folder / "one.h5", features, batches[0])
        seconds = interleaved(
            {
                "ours": lambda: [states.read(batch) for batch in batches],
                "rows by h5py": lambda: _by_h5py(folder / "one.h5", features, batches),
                "memcpy": lambda: _memcpy(features),
            }
        )
        size = features.manifest.tokens * WIDTH * 2
    rates = {name: size / value / 1e9 for name, value in seconds.items()}
    table(f"a shuffled pass over {size / 1e9:.1f} GB, {len(lengths)} rows", rates, "GB/s")
    report(
        "read",
        {
            "naive": Bar(rates["ours"] / rates["rows by h5py"], 3),
            "memcpy": Bar(rates["ours"] / rates["memcpy"], 0.5),
        },
    )


def _make_features(folder: Path) -> Features:
    """Random states of rows of 8 to 256 tokens, in a layer of their own."""
    rng = np.random.default_rng(0)
    entries, all_lengths, all_keys = [], [], []
    written = 0
    while written < BYTES:
        lengths = rng.integers(8, 257, SHARD_TOKENS // 132).astype(np.int32)
        keys = [rng.bytes(layout.KEY_BYTES) for _ in lengths]
        hidden = rng.standard_normal((int(lengths.sum()), WIDTH), np.float32).astype(np.float16)
        name = shard_name(keys)
        digests = {}
        for file, image in (
            (layout.TOKENS, tokens_file(_tokens(lengths, keys))),
            (layout.layer_file(LAYER), b"".join(layer_file(hidden, layer=LAYER))),
        ):
            write_bytes(folder / layout.shard_path(name, file), image, mode=READ_ONLY)
            digests[file] = hashlib.sha256(image).hexdigest()
        entries.append(ShardEntry(name, len(lengths), len(hidden), digests))
        all_lengths.append(lengths)
        all_keys += keys
        written += hidden.nbytes
    every = np.concatenate(all_lengths)
    index_bytes = index_file(
        shards=entries,
        layers=[LAYER],
        width=WIDTH,
        dtype="float16",
        example_ids=[str(number) for number in range(len(every))],
        example_rows=np.arange(len(every)),
        row_offsets=row_offsets(every),
        row_keys=key_array(all_keys),
    )
    write_bytes(folder / layout.INDEX_FILE, index_bytes, mode=READ_ONLY)
    digest = hashlib.sha256(index_bytes).hexdigest()
    manifest = Manifest(
        RECIPE.as_json(), (LAYER,), WIDTH, LAYER, "float16", "0" * 64, digest, tuple(entries)
    )
    write_manifest(folder, manifest)
    return open_features(folder)


def _tokens(lengths: npt.NDArray[np.int32], keys: Sequence[bytes]) -> ShardTokens:
    """Tokens that say nothing, of rows of these lengths."""
    count = int(lengths.sum())
    return ShardTokens(
        per_token={
            name: np.zeros((count, *shape), dtype)
            for name, (shape, dtype) in layout.PER_TOKEN.items()
        },
        row_offsets=row_offsets(lengths),
        row_keys=key_array(keys),
        row_full_length=lengths,
        row_words=np.ones(len(lengths), np.int32),
    )


def _one_file(features: Features, path: Path) -> None:
    """All states in one contiguous dataset, as easy for h5py as can be."""
    with h5py.File(path, "w") as file:
        file["states"] = np.concatenate(features.layer_shards(LAYER))


def _by_h5py(path: Path, features: Features, batches: Sequence[npt.NDArray[np.int64]]) -> list[int]:
    """Batches as a Dataset that opens the file and reads its rows one by one gives them."""
    offsets = features.row_offsets
    with h5py.File(path) as file:
        states = file["states"]
        return [
            np.concatenate([states[offsets[row] : offsets[row + 1]] for row in batch])
            .astype(np.float32)
            .nbytes
            for batch in batches
        ]


def _memcpy(features: Features) -> None:
    """The same bytes, unconverted, into memory that is used again."""
    shards = features.layer_shards(LAYER)
    room = np.empty((max(map(len, shards)), WIDTH), np.float16)
    for shard in shards:
        np.copyto(room[: len(shard)], shard)


def _same_values(
    states: MappedStates, path: Path, features: Features, batch: npt.NDArray[np.int64]
) -> None:
    offsets = features.row_offsets
    with h5py.File(path) as file:
        expected = np.concatenate(
            [file["states"][offsets[row] : offsets[row + 1]] for row in batch]
        ).astype(np.float32)
    if not np.array_equal(states.read(batch).numpy(), expected):
        raise SystemExit("the contestants do not read the same states")


if __name__ == "__main__":
    main()
