from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from pipeline.core.files import sha256_file
from pipeline.core.reading import SpecialFileError, open_regular
from pipeline.features import hash_cache as module
from pipeline.features.hash_cache import HashCache


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read."""
    paths: list[Path] = []

    def counting(path: Path, *, follow: bool) -> BinaryIO:
        paths.append(path)
        return open_regular(path, follow=follow)

    monkeypatch.setattr(module, "open_regular", counting)
    return paths


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    return path


def test_a_file_and_its_links_are_read_once(file: Path, tmp_path: Path, read: list[Path]) -> None:
    os.link(file, tmp_path / "link")
    hash_cache = HashCache()
    assert hash_cache.sha256(file) == hash_cache.sha256(tmp_path / "link") == sha256_file(file)
    assert read == [file]


def test_another_process_need_not_read_again(file: Path, tmp_path: Path, read: list[Path]) -> None:
    memory = tmp_path / "store" / "digests.jsonl"
    expected = HashCache(memory).sha256(file)
    assert HashCache(memory).sha256(file) == expected
    assert len(read) == 1


def test_a_changed_file_is_read_again(file: Path, tmp_path: Path) -> None:
    memory = tmp_path / "digests.jsonl"
    before = HashCache(memory).sha256(file)
    file.write_bytes(b"other byte")
    os.utime(file, ns=(1, 1))
    after = HashCache(memory).sha256(file)
    assert after == sha256_file(file) != before


def test_distrust_reads_and_corrects_the_memory(
    file: Path, tmp_path: Path, read: list[Path]
) -> None:
    """A disk that fails changes bytes and nothing else of a file."""
    memory = tmp_path / "digests.jsonl"
    times = file.stat()
    HashCache(memory).sha256(file)
    file.write_bytes(b"sOme bytes")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert HashCache(memory).sha256(file) != sha256_file(file)
    assert HashCache(memory, trust=False).sha256(file) == sha256_file(file)
    assert HashCache(memory).sha256(file) == sha256_file(file)
    lines = len(memory.read_text(encoding="utf-8").splitlines())
    HashCache(memory, trust=False).sha256(file)
    assert len(memory.read_text(encoding="utf-8").splitlines()) == lines


@pytest.mark.parametrize(
    "line",
    ['[1, 2, 3, 4, "ab', "[]", '["a", 1, 2, 3, "b"]', "\ufffd", "{}", "[" * 100_000, "[NaN]"],
)
def test_lines_that_say_nothing_are_passed_over(file: Path, tmp_path: Path, line: str) -> None:
    memory = tmp_path / "digests.jsonl"
    memory.write_text(line + "\n", encoding="utf-8")
    assert HashCache(memory).sha256(file) == sha256_file(file)
    assert HashCache(memory).sha256(file) == sha256_file(file)


def test_a_memory_that_cannot_be_written_is_done_without(file: Path, tmp_path: Path) -> None:
    assert HashCache(file / "not a folder").sha256(file) == sha256_file(file)


def test_a_sound_file_is_looked_at_once(file: Path, tmp_path: Path) -> None:
    memory, looks = tmp_path / "digests.jsonl", []

    def look(sound: bool) -> Callable[[], bool]:
        return lambda: not looks.append(sound) and sound

    assert not HashCache(memory).is_sound(file, look(False))
    assert HashCache(memory).is_sound(file, look(True))
    assert HashCache(memory).is_sound(file, look(False))
    assert looks == [False, True]
    assert not HashCache(memory, trust=False).is_sound(file, look(False))
    assert HashCache(memory).sha256(file) == sha256_file(file)


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HashCache().sha256(tmp_path / "nowhere")


@pytest.mark.parametrize("follow", [True, False])
def test_a_pipe_is_not_waited_for(tmp_path: Path, follow: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecialFileError, match="a pipe"):
        HashCache().sha256(tmp_path / "pipe", follow=follow)


def test_a_link_is_followed_only_where_it_may_be(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    assert HashCache().sha256(tmp_path / "link") == sha256_file(file)
    with pytest.raises(SpecialFileError, match="a link"):
        HashCache().sha256(tmp_path / "link", follow=False)


def test_a_memory_that_is_a_link_is_neither_believed_nor_written(
    file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    HashCache(other).sha256(file)
    before = other.read_bytes()
    (tmp_path / "digests.jsonl").symlink_to(other)
    hash_cache = HashCache(tmp_path / "digests.jsonl")
    (tmp_path / "more").write_bytes(b"more")
    assert hash_cache.sha256(tmp_path / "more") == sha256_file(tmp_path / "more")
    assert other.read_bytes() == before
