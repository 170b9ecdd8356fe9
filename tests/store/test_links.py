from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pipeline.store.links import Linker


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "source.h5"
    path.write_bytes(b"x" * 1000)
    path.chmod(0o444)
    return path


def test_linker_makes_the_same_file(source, tmp_path):
    linker = Linker()
    linker.link(source, tmp_path / "a" / "b" / "target.h5")
    assert (tmp_path / "a" / "b" / "target.h5").samefile(source)
    assert linker.copied_bytes == 0


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_linker_copies_where_links_are_refused_and_counts(source, tmp_path, monkeypatch, code):
    def refuse(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    linker = Linker()
    for name in ("one", "two"):
        linker.link(source, tmp_path / name)
        assert not (tmp_path / name).samefile(source)
        assert (tmp_path / name).read_bytes() == source.read_bytes()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o444
    assert linker.copied_bytes == 2000
    assert linker.reason
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "source.h5", "two"]


def test_linker_does_not_hide_other_errors(source, tmp_path):
    with pytest.raises(FileNotFoundError):
        Linker().link(tmp_path / "nowhere", tmp_path / "target")


def test_what_was_there_is_replaced_at_once(source, tmp_path):
    target = tmp_path / "there"
    target.write_bytes(b"old")
    with target.open("rb") as held:
        Linker().link(source, target)
        assert held.read() == b"old"
    assert target.samefile(source)
    Linker().link(source, target)  # a second time: the same file already
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.h5", "there"]


def test_a_real_other_file_system_is_copied_to(source):
    shared_memory = Path("/dev/shm")  # noqa: S108
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == source.stat().st_dev:
        pytest.skip("needs a second file system")
    target = shared_memory / f"icehouse-test-{os.getpid()}"
    linker = Linker()
    try:
        linker.link(source, target)
        assert target.read_bytes() == source.read_bytes()
        assert linker.reason == "it is on another file system"
    finally:
        target.unlink(missing_ok=True)


def test_what_a_link_leads_to_is_linked(source, tmp_path):
    """DVC may put symbolic links into the workspace; the store has none."""
    (tmp_path / "link").symlink_to(source)
    Linker().link(tmp_path / "link", tmp_path / "target")
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / "target").samefile(source)


def test_a_copy_is_written_over_no_link(source, tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.EXDEV, "no links")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "other").write_bytes(b"nobody's to write")
    (tmp_path / "target").symlink_to(tmp_path / "other")
    Linker().link(source, tmp_path / "target")
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / "other").read_bytes() == b"nobody's to write"
