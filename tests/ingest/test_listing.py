"""Folders of others: what is in them, whatever they are called, and where links lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.ingest.listing import files_below, link_problem


def test_files_are_listed_in_the_order_of_names_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/1.txt", "a.txt", "b/c/3.txt", ".git/x", "b/.hidden", "z.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to("..")
    hidden: list[int] = []
    found = [Path(entry.path) for entry in files_below(tmp_path, lambda: hidden.append(1))]
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["a.txt", "z.txt", "b/1.txt", "b/2.txt", "b/loop", "b/c/3.txt"]
    assert len(hidden) == 2


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("x.txt", None),
        ("in/../x.txt", None),
        ("../cache/files/md5/0a/" + "1f" * 15, None),
        ("../cache/0a/" + "1f" * 15, None),
        ("../cache/0a/" + "1f" * 14, "outside of"),
        ("../cache/0a/" + "1F" * 15, "outside of"),
        ("../cache/files/md5/0a/" + "2e" * 15, "is a link to nothing"),
        ("../outside.txt", "outside of"),
        ("../corpus-2/x.txt", "outside of"),
        ("in", "is a link to a folder"),
        ("nowhere", "is a link to nothing"),
        ("link", "is a link to nothing"),
    ],
)
def test_a_link_is_read_in_the_corpus_and_in_a_cache(
    tmp_path: Path, target: str, problem: str | None
) -> None:
    root = tmp_path / "corpus"
    for name in (
        *("corpus/x.txt", "corpus/in/y.txt", "outside.txt", "corpus-2/x.txt"),
        *(f"cache/0a/{'1f' * 15}", f"cache/0a/{'1f' * 14}", f"cache/0a/{'1F' * 15}"),
        f"cache/files/md5/0a/{'1f' * 15}",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (root / "link").symlink_to(target)
    found = link_problem(root / "link", root)
    assert found is None if problem is None else problem in str(found)
