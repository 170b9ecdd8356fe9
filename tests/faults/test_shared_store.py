"""A store that another user has put links, pipes and odd lines into.

Promise: a store has folders and regular files only. Nothing else in it is followed, waited for or
written to, so that nothing outside of it changes; what cannot be done without it ends in one line.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from forged import FILES, ROW, make_project, refused, run, snapshot, write

from pipeline.features.reader import open_features

PRECIOUS = b'{"nobody\'s": "to write"}\n'
WRITING = ("extract", "gc", "repair")
READING = ("verify", "stats", "train", "probe")


@pytest.fixture(scope="module")
def made(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("shared") / "project", tiny_encoder)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose store is elsewhere; ``outside`` is another user's, and may be written to."""
    folder = Path(shutil.copytree(made, tmp_path / "project"))
    (folder / ".features").rename(tmp_path / "store")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write(tmp_path / "outside" / "file", PRECIOUS)
    return folder


@pytest.fixture
def store(project: Path) -> Path:
    return project.parent / "store"


@pytest.fixture
def outside(project: Path) -> Path:
    return project.parent / "outside"


def plant(path: Path, kind: str, outside: Path) -> None:
    """Puts something in place of a file."""
    if path.is_file():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        targets = {
            "link": outside / "file",
            "link to nothing": outside / "new",
            "link to itself": path,
            "device": Path("/dev/zero"),
            "terminal": Path("/dev/tty"),
        }
        path.symlink_to(targets[kind])


KINDS = ("link", "link to nothing", "link to itself", "device", "terminal", "pipe", "folder")


@pytest.mark.parametrize("command", [*WRITING, "verify"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_that_is_no_file_is_told(
    store: Path, outside: Path, kind: str, command: str
) -> None:
    plant(store / "lock", kind, outside)
    before = snapshot(outside)
    line = refused(run(command))
    assert str(store / "lock") in line
    assert snapshot(outside) == before
    assert not Path("again").exists()


@pytest.mark.parametrize("command", [*WRITING, *READING])
@pytest.mark.parametrize("kind", KINDS)
def test_remembered_digests_that_are_no_file_are_done_without(
    store: Path, outside: Path, kind: str, command: str
) -> None:
    plant(store / "digests.jsonl", kind, outside)
    before = snapshot(outside)
    result = run(command)
    assert snapshot(outside) == before
    if (kind, command) == ("folder", "gc"):
        assert "there must be a file there" in refused(result)
    else:
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 100_000,
        '[1, 2, 3, 4, "\\ud800"]',
        "[NaN, 2, 3, 4, 5]",
        '["sound", [], {}, 3, 4]',
        "\0" * 1000,
        '[1e999, 2, 3, 4, "x"]',
    ],
)
def test_odd_lines_are_passed_over(store: Path, line: str) -> None:
    for path in (store / "digests.jsonl", *store.rglob("log.jsonl")):
        path.write_text(f"{line}\n{line}", encoding="utf-8")
    for command in (*WRITING, *READING):
        assert run(command).exit_code == 0
    for log in store.rglob("log.jsonl"):
        log.write_text('{"tokens": "x", "layers": [[]], "seconds": null}\n[]\n3\n"x"\n{}\n')
    assert run("extract").exit_code == 0


def the_recipe(store: Path) -> Path:
    (recipe,) = [path.parent for path in store.glob("*/recipe.json")]
    return recipe


@pytest.mark.parametrize("file", ["log.jsonl", "recipe.json"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "device", "pipe"])
def test_what_is_no_file_beside_the_shards_is_not_written_through(
    store: Path, outside: Path, file: str, kind: str
) -> None:
    recipe = the_recipe(store)
    plant(recipe / file, kind, outside)
    for shard in recipe.glob("?" * 32):
        shutil.rmtree(shard)
    before = snapshot(outside)
    result = run("extract")
    assert snapshot(outside) == before
    if file == "log.jsonl":
        assert str(recipe / file) in refused(result)
    elif kind != "pipe":
        assert result.exit_code == 0, result.output
        assert not (recipe / file).is_symlink()


@pytest.mark.parametrize("kind", ["link", "device", "pipe", "folder"])
@pytest.mark.parametrize("file", ["layer_02.h5", "tokens.h5", "layer_02.h5.sha256"])
def test_a_shards_file_that_is_none_counts_as_missing(
    store: Path, outside: Path, file: str, kind: str
) -> None:
    """And is replaced, by renaming; where a folder is in its place, that is told."""
    path = min(store.rglob(file))
    genuine, note = path.read_bytes(), path.with_name(f"{file}.sha256")
    plant(path, kind, outside)
    if not file.endswith(".sha256"):
        write(outside / "file", genuine)
        assert note.exists()
    before = snapshot(outside)
    result = run("extract")
    assert snapshot(outside) == before
    if kind == "folder":
        assert str(path) in refused(result)
    else:
        assert result.exit_code == 0, result.output
        assert not path.is_symlink()
        assert path.read_bytes() == genuine
        open_features("again/small").verify()
    for command in ("verify", "gc", "stats"):
        assert run(command).exit_code in (0, 2)
    assert snapshot(outside) == before


def elsewhere(folder: Path, outside: Path) -> Path:
    """Moves a folder of the store to another user's place, and a link to it in its place."""
    target = outside / "folder"
    shutil.copytree(folder, target)
    shutil.rmtree(folder)
    for path in target.rglob("*"):
        if path.name.startswith("layer_02"):
            path.unlink()  # is to be written anew
    write(target / ".mine.x.tmp", PRECIOUS)
    write(target / "tokens.h5", PRECIOUS)
    folder.symlink_to(target)
    return target


@pytest.mark.parametrize("what", ["recipe", "shard"])
@pytest.mark.parametrize("command", ["extract", "gc", "verify", "repair", "stats"])
def test_a_folder_that_is_a_link_is_not_written_into(
    store: Path, outside: Path, what: str, command: str
) -> None:
    recipe = the_recipe(store)
    folder = recipe if what == "recipe" else min(recipe.glob("?" * 32))
    elsewhere(folder, outside)
    if command == "repair":
        write(next(iter(sorted(ROW.rglob("layer_03.h5")))), b"damaged")
    before = snapshot(outside)
    result = run(command)
    assert snapshot(outside) == before
    if command in ("extract", "repair"):
        assert f"{folder}: is a symbolic link" in refused(result)
    else:
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("place", ["file", "below a file", "long", "pipe"])
@pytest.mark.parametrize("command", [*WRITING, "verify", "stats"])
def test_a_store_that_is_no_folder_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch, place: str, command: str
) -> None:
    path = project.parent / {"long": "x" * 300, "below a file": "file/store"}.get(place, place)
    if place == "pipe":
        os.mkfifo(path)
    else:
        write(project.parent / "file", PRECIOUS)
    monkeypatch.setenv("FEATURE_STORE", str(path))
    before = snapshot(project.parent)
    result = run(command)
    if place == "below a file" and command != "extract":
        assert result.exit_code == 0, result.output  # there is no store
    else:
        refused(result)
    assert snapshot(project.parent) == before


def test_the_store_itself_may_be_a_link(store: Path, outside: Path) -> None:
    """Where it is, is this user's to say."""
    store.rename(outside / "store")
    store.symlink_to(outside / "store")
    for command in (*WRITING, *READING):
        assert run(command).exit_code == 0


@pytest.mark.parametrize("umask", [0o022, 0o002])
def test_files_have_the_rights_that_they_had(
    store: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(store)
    before = os.umask(umask)
    try:
        assert run("extract").exit_code == 0
    finally:
        os.umask(before)
    assert store.stat().st_mode & 0o777 == 0o777 & ~umask
    for path in (store / "lock", store / "digests.jsonl", *store.rglob("log.jsonl")):
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    for path in store.rglob("*.h5"):
        assert path.stat().st_mode & 0o777 == 0o444


def test_forged_digests_are_believed_by_training_and_not_by_verify(
    store: Path, write_all: Callable[[], None]
) -> None:
    """Who may write to a store is trusted with its digests; ``verify`` trusts nobody."""
    write_all()
    assert run("train").exit_code == 0
    assert "is damaged" in refused(run("verify"))


@pytest.fixture
def write_all(store: Path) -> Callable[[], None]:
    """Damages a layer of the workspace, and notes its new identity with the old digest."""

    def forge() -> None:
        path = next(iter(sorted(ROW.rglob("layer_03.h5"))))
        content = json.loads((ROW / "manifest.json").read_text(encoding="utf-8"))
        digests = {shard["name"]: shard["files"][path.name] for shard in content["shards"]}
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        write(path, bytes(data))
        status = path.stat()
        line = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]
        with (store / "digests.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps([*line, digests[path.parent.name]]) + "\n")

    return forge


def test_the_files_of_a_shard_are_those_that_tests_name(store: Path) -> None:
    assert {path.name for path in store.rglob("*.h5")} == set(FILES)
