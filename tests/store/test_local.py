from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from stored_shards import RECIPE, add_shard

from pipeline.core.paths import UnsafeNameError
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore


@pytest.fixture
def store(tmp_path) -> LocalStore:
    return LocalStore.of(tmp_path, RECIPE)


def test_store_folder_is_named_by_the_recipe(store, tmp_path):
    assert store.folder == tmp_path / RECIPE.digest()[:32]


def test_missing_names_the_files_that_a_shard_lacks(store):
    name = add_shard(store, [0], [1])
    files = ["tokens.h5", "layer_01.h5", "layer_02.h5"]
    assert store.missing(name, files) == ["layer_02.h5"]
    assert store.missing("another", files) == files


def test_recipe_is_written_once_in_words(store):
    store.write_recipe(RECIPE)
    path = store.folder / "recipe.json"
    assert json.loads(path.read_text(encoding="utf-8")) == RECIPE.as_json()
    inode = path.stat().st_ino
    store.write_recipe(RECIPE)
    assert path.stat().st_ino == inode


def test_log_grows_by_a_line_per_entry(store):
    store.log({"rows": 3})
    store.log({"rows": 4})
    lines = (store.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"rows": 3}, {"rows": 4}]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(data)


def test_files_are_read_only_and_their_digest_is_noted(store):
    name = add_shard(store, [0], [1])
    for file in ("tokens.h5", "layer_01.h5"):
        path = store.path(name, file)
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert store.digest(name, file) == digest
        # as `sha256sum --check *.sha256` reads it
        assert Path(f"{path}.sha256").read_text(encoding="ascii") == f"{digest}  {file}\n"


def test_damaged_file_counts_as_missing_and_is_told(store):
    name = add_shard(store, [0], [1])
    flip(store.path(name, "layer_01.h5"))
    fresh = LocalStore(store.folder)
    assert fresh.missing(name, ["tokens.h5", "layer_01.h5"]) == ["layer_01.h5"]
    assert fresh.damaged == [(name, "layer_01.h5")]


def test_file_without_a_digest_on_record_counts_as_missing(store):
    name = add_shard(store, [0], [1])
    store.path(name, "layer_01.h5.sha256").unlink()
    assert LocalStore(store.folder).missing(name, ["layer_01.h5"]) == ["layer_01.h5"]


def test_digest_without_its_file_is_no_damage(store):
    """A writer that was killed between the two leaves this."""
    name = add_shard(store, [0], [1])
    store.path(name, "layer_01.h5").unlink()
    fresh = LocalStore(store.folder)
    assert fresh.missing(name, ["layer_01.h5"]) == ["layer_01.h5"]
    assert fresh.damaged == []


def test_adopted_file_is_one_with_its_source(store, tmp_path):
    name = add_shard(store, [0], [1])
    digest = store.digest(name, "layer_01.h5")
    source = tmp_path / "elsewhere"
    source.write_bytes(store.path(name, "layer_01.h5").read_bytes())
    store.remove(name, "layer_01.h5")
    assert store.import_file(name, "layer_01.h5", source, digest, Linker())
    assert store.path(name, "layer_01.h5").samefile(source)
    assert LocalStore(store.folder).holds(name, "layer_01.h5")


def test_file_that_the_store_has_too_becomes_one_with_its_source(store, tmp_path):
    name = add_shard(store, [0], [1])
    source = tmp_path / "elsewhere"
    source.write_bytes(store.path(name, "layer_01.h5").read_bytes())
    digest = store.digest(name, "layer_01.h5")
    assert not store.import_file(name, "layer_01.h5", source, digest, Linker())
    assert store.path(name, "layer_01.h5").samefile(source)


def test_damaged_or_absent_source_is_not_adopted(store, tmp_path):
    name = add_shard(store, [0], [1])
    digest = store.digest(name, "layer_01.h5")
    source = tmp_path / "elsewhere"
    source.write_bytes(store.path(name, "layer_01.h5").read_bytes())
    flip(source)
    store.remove(name, "layer_01.h5")
    assert not store.import_file(name, "layer_01.h5", source, digest, Linker())
    assert not store.import_file(name, "layer_01.h5", tmp_path / "nowhere", digest, Linker())
    assert not store.holds(name, "layer_01.h5")


def test_what_other_hardware_computed_does_not_replace_what_is_here(store, tmp_path):
    name = add_shard(store, [0], [1])
    source = tmp_path / "elsewhere"
    source.write_bytes(b"other bits")
    digest = hashlib.sha256(b"other bits").hexdigest()
    assert not store.import_file(name, "layer_01.h5", source, digest, Linker())
    assert not store.path(name, "layer_01.h5").samefile(source)


def test_last_removed_file_takes_the_folder_with_it(store):
    name = add_shard(store, [0], [1])
    store.remove(name, "layer_01.h5")
    assert store.path(name, "tokens.h5").is_file()
    store.remove(name, "tokens.h5")
    assert store.shards() == []


def test_half_written_files_are_swept(store):
    name = add_shard(store, [0], [1])
    left = store.path(name, ".layer_02.h5.abc.tmp")
    left.write_bytes(b"half")
    store.sweep()
    assert not left.exists()
    assert store.missing(name, ["tokens.h5", "layer_01.h5"]) == []


def test_half_a_line_of_the_log_is_passed_over(store):
    store.log({"rows": 3})
    with (store.folder / "log.jsonl").open("a") as file:
        file.write('{"rows": 4')
    assert store.read_log() == [{"rows": 3}]


@pytest.mark.parametrize("name", ["../x", "/x", "", ".", "a/b", "x" * 300, "a\0b"])
def test_names_that_lead_elsewhere_have_no_path(store, name):
    with pytest.raises(UnsafeNameError):
        store.path(name, "tokens.h5")
    with pytest.raises(UnsafeNameError):
        store.path("a" * 32, name)


def test_only_shards_and_their_files_are_listed(store):
    name = add_shard(store, [0], [1])
    for other in ("notes", "A" * 32, "a" * 31):
        (store.folder / other).mkdir()
        (store.folder / other / "tokens.h5").touch()
    for file in ("more.h5", "layer_1.h5", "tokens.h5.bak"):
        store.path(name, file).touch()
    store.path(name, "layer_05.h5").symlink_to(store.path(name, "layer_01.h5"))
    assert store.shards() == [name]
    assert list(store.files()) == [(name, "layer_01.h5"), (name, "tokens.h5")]


def test_unsound_files_are_not_adopted(store, tmp_path):
    name = add_shard(store, [0], [1])
    source, digest = tmp_path / "elsewhere", store.digest(name, "layer_01.h5")
    source.write_bytes(store.path(name, "layer_01.h5").read_bytes())
    store.remove(name, "layer_01.h5")
    asked = []
    for sound in (False, True):
        assert sound == store.import_file(
            name,
            "layer_01.h5",
            source,
            digest,
            Linker(),
            is_sound=lambda path, sound=sound: not asked.append(path) and sound,
        )
    assert asked == [source, source]


@pytest.mark.parametrize("note", [b"", b"short", b"\xff" * 100, b"A" * 64 + b" x", b"/etc/passwd"])
def test_a_note_that_is_no_digest_counts_as_none(store, note):
    name = add_shard(store, [0], [1])
    path = store.path(name, "layer_01.h5.sha256")
    path.unlink()
    path.write_bytes(note)
    assert store.digest(name, "layer_01.h5") is None
    assert not store.holds(name, "layer_01.h5")
