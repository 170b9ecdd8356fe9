"""docs/feature-store-format.md, requirement by requirement, on rows of a small corpus."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import random_sentences
from import_graph import ROOT
from pipelines import extracted, labelled, prepared, prepared_pairs
from tracked import flip

from pipeline.core.errors import StoreError
from pipeline.core.files import canonical_json
from pipeline.features.hash_cache import HashCache
from pipeline.features.manifest import read_manifest
from pipeline.features.reader import open_features
from pipeline.store import local
from pipeline.store.local import LocalStore

TOKEN_DATASETS = {
    "input_ids": ((), np.int32),
    "segment_ids": ((), np.int8),
    "word_index": ((), np.int32),
    "char_offsets": ((2,), np.int32),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sentences = random_sentences(90)
    return prepared(tmp_path_factory.mktemp("format"), labelled([*sentences, *sentences[:7]]))


@pytest.fixture(scope="module")
def features(corpus: Path, tiny_encoder: Path) -> Path:
    return extracted(corpus, tiny_encoder)


@pytest.fixture(scope="module")
def apart(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of pairs whose texts are rows of their own."""
    return extracted(prepared_pairs(tmp_path_factory.mktemp("apart")), tiny_encoder, pairs="apart")


def rewritten(features: Path, folder: Path, **changes: Any) -> Path:
    """A copy whose manifest has other values, and the right digest of itself."""
    copy = folder / "features"
    shutil.copytree(features, copy)
    content = {**manifest(features), **changes}
    content = {key: value for key, value in content.items() if value is not ...}
    del content["manifest_sha256"]
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    (copy / "manifest.json").unlink()
    signed = canonical_json({**content, "manifest_sha256": digest}) + "\n"
    (copy / "manifest.json").write_text(signed, encoding="utf-8")
    return copy


def manifest(features: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((features / "manifest.json").read_text(encoding="utf-8"))
    return content


def shards(features: Path) -> list[Path]:
    return [features / "shards" / shard["name"] for shard in manifest(features)["shards"]]


def test_every_requirement_has_a_test_that_names_it() -> None:
    text = (ROOT / "docs" / "feature-store-format.md").read_text(encoding="utf-8")
    required = set(re.findall(r"\*\*([FMTLESR]\d+)\*\*", text))
    tests = set(re.findall(r"def test_([fmtlesr]\d+)_", Path(__file__).read_text(encoding="utf-8")))
    assert len(required) > 15
    assert {name.lower() for name in required} == tests


def test_the_row_has_several_shards_and_short_rows(features: Path) -> None:
    assert len(shards(features)) > 2
    assert min(np.diff(open_features(features).row_offsets)) == 3


def test_f1_files_are_read_only(features: Path) -> None:
    files = [path for path in features.rglob("*") if path.is_file()]
    assert len(files) == 2 + 3 * len(shards(features))
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}


def test_f2_equal_content_is_equal_bytes_whenever_it_is_written(
    features: Path, corpus: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    for name in ("texts", "labels"):
        shutil.copytree(corpus / name, tmp_path / name)
    time.sleep(1.1)  # HDF5 keeps times in whole seconds
    again = extracted(tmp_path, tiny_encoder)
    names = sorted(path.relative_to(features) for path in features.rglob("*") if path.is_file())
    assert names == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    for name in names:
        assert (features / name).read_bytes() == (again / name).read_bytes(), name


def test_f3_a_shard_is_named_by_its_row_keys(features: Path) -> None:
    for shard in shards(features):
        with h5py.File(shard / "tokens.h5") as file:
            digest = hashlib.sha256(file["row_keys"][()].tobytes()).hexdigest()
        assert shard.name == digest[:32]


def test_f4_layer_files_are_named_by_their_layer(features: Path) -> None:
    for shard in shards(features):
        assert {path.name for path in shard.iterdir()} == {
            "tokens.h5",
            "layer_02.h5",
            "layer_03.h5",
        }


def test_f5_every_file_says_what_it_is_and_readers_reject_others(
    features: Path, tmp_path: Path
) -> None:
    kinds = {"features.h5": "icehouse-features", "tokens.h5": "icehouse-tokens"}
    for path in features.rglob("*.h5"):
        with h5py.File(path) as file:
            expected = kinds.get(path.name, "icehouse-layer")
            assert file.attrs["encoding-type"] == expected
            assert file.attrs["encoding-version"] == 1
            assert file.attrs["encoding-version"].dtype == np.int64
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    victim = next(copy.rglob("layer_03.h5"))
    victim.chmod(0o644)
    with h5py.File(victim, "r+") as file:
        file.attrs["encoding-version"] = np.int64(2)
    with pytest.raises(StoreError, match="icehouse-layer version 2"):
        open_features(copy).layer_shards(3)


def test_m1_a_folder_without_manifest_is_not_complete(features: Path, tmp_path: Path) -> None:
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"manifest\.json: no such file"):
        open_features(copy)
    written = [(p.stat().st_mtime_ns, p.name) for p in features.iterdir() if p.is_file()]
    assert max(written)[1] == "manifest.json"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_m2_an_unknown_format_is_rejected(features: Path, tmp_path: Path, version: object) -> None:
    content = {**manifest(features), "format": version}
    (tmp_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(StoreError, match=f"format version {version}, this code reads version 1"):
        open_features(tmp_path)


def test_m3_the_manifest_lists_every_file_with_its_digest(features: Path) -> None:
    content = manifest(features)
    assert list(content) == sorted(content)
    assert content["layers"] == [2, 3]
    assert (content["depth"], content["width"], content["dtype"]) == (3, 64, "float32")
    for entry, shard in zip(content["shards"], shards(features), strict=True):
        assert entry["files"] == {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shard.iterdir()
        }
    digest = hashlib.sha256((features / "features.h5").read_bytes()).hexdigest()
    assert content["entrance_sha256"] == digest


def test_m4_the_recipe_holds_what_decides_values_and_nothing_else(features: Path) -> None:
    assert set(manifest(features)["recipe"]) == {
        "format",
        "extractor",
        "encoder",
        "max_length",
        "long_texts",
        "compute_dtype",
        "storage_dtype",
    }


@pytest.mark.parametrize("pairs", [None, "together", True, ["apart"], ""])
def test_m7_pairs_are_apart_or_not_named(
    features: Path, apart: Path, tmp_path: Path, pairs: object
) -> None:
    assert manifest(apart)["pairs"] == "apart"
    assert "pairs" not in manifest(features)
    assert "pairs" not in manifest(apart)["recipe"]
    assert (open_features(apart).pairs_apart, open_features(features).pairs_apart) == (True, False)
    with pytest.raises(StoreError, match=r"manifest\.json: is damaged"):
        open_features(rewritten(apart, tmp_path, pairs=pairs))


def test_t1_token_files_hold_all_datasets(features: Path) -> None:
    for entry, shard in zip(manifest(features)["shards"], shards(features), strict=True):
        rows, tokens = entry["rows"], entry["tokens"]
        expected = {
            **{n: ((tokens, *shape), dtype) for n, (shape, dtype) in TOKEN_DATASETS.items()},
            "row_offsets": ((rows + 1,), np.int64),
            "row_keys": ((rows, 32), np.uint8),
            "row_full_length": ((rows,), np.int32),
            "row_words": ((rows,), np.int32),
        }
        with h5py.File(shard / "tokens.h5") as file:
            assert {name: (d.shape, d.dtype) for name, d in file.items()} == expected


def test_t2_row_offsets_begin_with_0_and_end_with_the_tokens(features: Path) -> None:
    for entry, shard in zip(manifest(features)["shards"], shards(features), strict=True):
        with h5py.File(shard / "tokens.h5") as file:
            offsets = file["row_offsets"][()]
        assert offsets[0] == 0
        assert offsets[-1] == entry["tokens"]
        assert (np.diff(offsets) >= 0).all()


def test_t3_row_keys_are_distinct(features: Path) -> None:
    keys = open_features(features).per_row("row_keys")
    assert len({key.tobytes() for key in keys}) == len(keys)


LAYERS = [2, 3]


def layer_files(features: Path) -> list[tuple[int, dict[str, Any], h5py.File]]:
    return [
        (layer, entry, h5py.File(shard / f"layer_{layer:02d}.h5"))
        for entry, shard in zip(manifest(features)["shards"], shards(features), strict=True)
        for layer in LAYERS
    ]


def test_l1_a_layer_file_names_its_layer(features: Path) -> None:
    for layer, _, file in layer_files(features):
        assert file.attrs["layer"] == layer
        assert file.attrs["layer"].dtype == np.int64


def test_l2_states_are_one_row_per_token(features: Path) -> None:
    for _, entry, file in layer_files(features):
        assert (file["hidden"].shape, file["hidden"].dtype) == ((entry["tokens"], 64), np.float32)


def test_l3_states_can_be_memory_mapped(features: Path) -> None:
    for _, _, file in layer_files(features):
        assert file["hidden"].chunks is None
        assert file["hidden"].id.get_offset() is not None


def test_l4_states_are_finite(features: Path) -> None:
    for _, _, file in layer_files(features):
        assert np.isfinite(file["hidden"][()]).all()


def test_e1_rows_are_numbered_as_the_corpus_first_has_them(features: Path) -> None:
    rows = open_features(features).example_rows
    assert len(rows) == 97
    first = list(dict.fromkeys(rows.tolist()))
    assert first == list(range(len(first)))
    assert len(first) <= 90


def test_e1_rows_of_pairs_are_numbered_first_text_before_second(apart: Path) -> None:
    opened = open_features(apart)
    rows = opened.example_rows
    assert rows.shape == (121, 2)
    first = list(dict.fromkeys(rows.ravel().tolist()))
    assert first == list(range(len(opened.row_offsets) - 1))
    assert len(first) <= 60
    assert rows[-1, 0] == rows[-1, 1], "a text that is paired with itself is one row"


def test_e5_the_rows_of_second_texts_are_there_where_pairs_are_apart(
    features: Path, apart: Path, tmp_path: Path
) -> None:
    rows = open_features(apart).example_rows
    with h5py.File(apart / "features.h5") as file:
        assert set(file["examples"]) == {"id", "row", "row_b"}
        for column, name in enumerate(("row", "row_b")):
            assert file["examples"][name].dtype == np.int64
            assert file["examples"][name][()].tolist() == rows[:, column].tolist()
    with h5py.File(features / "features.h5") as file:
        assert set(file["examples"]) == {"id", "row"}
    for name, folder, pairs in (("more", features, "apart"), ("fewer", apart, ...)):
        copy = rewritten(folder, tmp_path / name, pairs=pairs)
        with pytest.raises(StoreError, match="not as many rows as the manifest says"):
            _ = open_features(copy).example_rows


def test_e2_virtual_datasets_follow_the_folder(features: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(features, moved)
    opened = open_features(features)
    with h5py.File(moved / "features.h5") as file:
        for layer in (2, 3):
            dataset = file[f"layers/{layer:02d}"]
            assert dataset.is_virtual
            assert all(not Path(s.file_name).is_absolute() for s in dataset.virtual_sources())
            assert np.array_equal(dataset[()], np.concatenate(opened.layer_shards(layer)))
        for name in TOKEN_DATASETS:
            assert np.array_equal(file[f"tokens/{name}"][()], opened.per_token(name))
        assert file["examples/id"].asstr()[()].tolist() == opened.example_ids
        assert np.array_equal(file["rows/offsets"][()], opened.row_offsets)
        assert np.array_equal(file["rows/keys"][()], opened.per_row("row_keys"))


def test_e3_a_missing_shard_reads_as_fill_value_but_our_reader_says_so(
    features: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    lost = read_manifest(copy).shards[1]
    shutil.rmtree(copy / "shards" / lost.name)
    start = read_manifest(copy).shards[0].tokens
    with h5py.File(copy / "features.h5") as file:
        assert np.isnan(file["layers/03"][start : start + lost.tokens]).all()
        assert not np.isnan(file["layers/03"][:start]).any()
        for name in TOKEN_DATASETS:
            assert (file[f"tokens/{name}"][start : start + lost.tokens] == -9).all()
    with pytest.raises(StoreError, match="is missing"):
        open_features(copy).layer_shards(3)


def test_f1_files_are_replaced_by_renaming_so_that_an_open_one_keeps_its_bytes(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    features = extracted(prepared(tmp_path, labelled(random_sentences(40))), tiny_encoder)
    before = (features / "features.h5").read_bytes()
    with (features / "features.h5").open("rb") as held:
        extracted(prepared(tmp_path, labelled(random_sentences(40, seed=8))), tiny_encoder)
        assert held.read() == before
    assert (features / "features.h5").read_bytes() != before


def test_m5_every_changed_bit_of_the_manifest_is_found(features: Path, tmp_path: Path) -> None:
    data = (features / "manifest.json").read_bytes()
    for bit in range(0, 8 * len(data), 7):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / "manifest.json").write_bytes(changed)
        with pytest.raises(StoreError, match=r"manifest\.json: (is damaged|has format version)"):
            read_manifest(tmp_path)


def test_s1_a_file_comes_after_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "recipe")

    original = local.write_bytes

    def killed(path: Path, *arguments: Any, **options: Any) -> None:
        if path.suffix == ".h5":
            raise KeyboardInterrupt
        original(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(local, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put("shard", "tokens.h5", b"bytes")
    assert store.digest("shard", "tokens.h5") is not None
    assert not store.holds("shard", "tokens.h5")
    store.put("shard", "tokens.h5", b"bytes")
    assert store.holds("shard", "tokens.h5")
    store.path("shard", "tokens.h5.sha256").unlink()
    assert not LocalStore(tmp_path / "recipe").holds("shard", "tokens.h5")


def test_s2_extraction_writes_with_the_lock_held(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[bool] = []
    original = LocalStore.put

    def put(self: LocalStore, shard: str, file: str, *data: bytes | memoryview) -> None:
        with (self.folder.parent / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(True)
            except BlockingIOError:
                free.append(False)
        original(self, shard, file, *data)

    monkeypatch.setattr(LocalStore, "put", put)
    extracted(prepared(tmp_path, labelled(random_sentences(20))), tiny_encoder)
    assert free
    assert not any(free)


def test_r1_a_damaged_file_is_found_before_it_is_read(features: Path, tmp_path: Path) -> None:
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    digests = HashCache(tmp_path / "digests.jsonl")
    open_features(copy).check([3], digests)
    flip(next(copy.rglob("layer_03.h5")))
    with pytest.raises(StoreError, match=r"layer_03\.h5: is damaged"):
        open_features(copy).check([3], HashCache(tmp_path / "digests.jsonl"))


def test_f6_datasets_are_end_to_end_and_readers_refuse_others(
    features: Path, tmp_path: Path
) -> None:
    for path in features.rglob("*.h5"):
        with h5py.File(path) as file:
            found: list[h5py.Dataset] = []
            file.visititems(lambda _, item, found=found: found.append(item))
            for dataset in (item for item in found if isinstance(item, h5py.Dataset)):
                if not (path.name == "features.h5" and dataset.is_virtual):
                    assert dataset.chunks is None
                    assert dataset.external is None
                    assert dataset.id.get_offset() is not None
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    victim = next(copy.rglob("layer_03.h5"))
    victim.chmod(0o644)
    with h5py.File(victim, "r+") as file:
        hidden = file["hidden"][()]
        del file["hidden"]
        file.create_dataset("hidden", data=hidden, compression="gzip")
    with pytest.raises(StoreError, match="hidden is not stored end to end"):
        open_features(copy).layer_shards(3)


def resigned(features: Path, folder: Path, **changes: Any) -> Path:
    content = manifest(features) | changes
    del content["manifest_sha256"]
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    content["manifest_sha256"] = digest
    (folder / "manifest.json").write_text(canonical_json(content) + "\n", encoding="utf-8")
    return folder


def test_m6_a_manifest_of_another_shape_is_rejected(features: Path, tmp_path: Path) -> None:
    assert read_manifest(resigned(features, tmp_path)) == read_manifest(features)
    for changes in ({"layers": [3, 2]}, {"device": "cuda"}, {"width": "64"}, {"depth": 1}):
        with pytest.raises(StoreError, match="is damaged"):
            read_manifest(resigned(features, tmp_path, **changes))
    for key, value in (("name", "../../outside"), ("files", {"evil.py": "a" * 64}), ("rows", 0)):
        entries = manifest(features)["shards"]
        entries[0][key] = value
        with pytest.raises(StoreError, match="is damaged"):
            read_manifest(resigned(features, tmp_path, shards=entries))


def test_t4_tokens_belong_to_words_of_their_row(features: Path, tmp_path: Path) -> None:
    for shard in shards(features):
        with h5py.File(shard / "tokens.h5") as file:
            offsets, words = file["row_offsets"][()], file["word_index"][()]
            for row, count in enumerate(file["row_words"][()]):
                own = words[offsets[row] : offsets[row + 1]]
                assert own.min() >= -1
                assert own.max() < count
                assert (np.diff(own[own >= 0]) >= 0).all()
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    victim = next(copy.rglob("tokens.h5"))
    victim.chmod(0o644)
    with h5py.File(victim, "r+") as file:
        file["word_index"][1] = 10_000
    with pytest.raises(StoreError, match="of a word that its row does not have"):
        open_features(copy).per_token("word_index")


def test_e4_the_index_file_has_the_rows_of_the_shards(features: Path, tmp_path: Path) -> None:
    with h5py.File(features / "features.h5") as file:
        keys, offsets = file["rows/keys"][()], file["rows/offsets"][()]
    first = 0
    for entry in manifest(features)["shards"]:
        end = first + entry["rows"]
        assert hashlib.sha256(keys[first:end].tobytes()).hexdigest()[:32] == entry["name"]
        assert offsets[end] - offsets[first] == entry["tokens"]
        first = end
    assert first == len(keys)
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    (copy / "features.h5").chmod(0o644)
    with h5py.File(copy / "features.h5", "r+") as file:
        file["rows/keys"][0] = 0
    with pytest.raises(StoreError, match="its rows are not those of shard"):
        _ = open_features(copy).row_offsets


def test_s3_a_link_in_a_store_is_not_followed(tmp_path: Path) -> None:
    store, other = LocalStore(tmp_path / "store" / "recipe"), tmp_path / "other"
    other.mkdir()
    store.put("a" * 32, "tokens.h5", b"bytes")
    store.path("a" * 32, "tokens.h5").rename(other / "tokens.h5")
    store.path("a" * 32, "tokens.h5").symlink_to(other / "tokens.h5")
    assert not LocalStore(store.folder).holds("a" * 32, "tokens.h5")
    assert list(store.files()) == []
    (store.folder / ("b" * 32)).symlink_to(other)
    assert store.shards() == ["a" * 32]
    with pytest.raises(StoreError, match="is a symbolic link"):
        store.put("b" * 32, "tokens.h5", b"bytes")
    assert (other / "tokens.h5").read_bytes() == b"bytes"


def test_r2_what_does_not_fit_the_format_is_found_before_a_row_is_given(
    features: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "features"
    shutil.copytree(features, copy)
    victim = next(copy.rglob("tokens.h5"))
    victim.chmod(0o644)
    with h5py.File(victim, "r+") as file:
        file["row_offsets"][-1] += 1
    digest = hashlib.sha256(victim.read_bytes()).hexdigest()
    entries = manifest(features)["shards"]
    for entry in entries:
        if entry["name"] == victim.parent.name:
            entry["files"]["tokens.h5"] = digest
    (copy / "manifest.json").unlink()
    resigned(features, copy, shards=entries)
    for hash_cache in (HashCache(), HashCache(tmp_path / "digests.jsonl")):
        with pytest.raises(StoreError, match="the offsets of rows do not ascend"):
            open_features(copy).check([3], hash_cache)
