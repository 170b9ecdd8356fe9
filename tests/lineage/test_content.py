from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lineage.content import (
    Content,
    folder_digest,
    parse_listing,
    read_content,
    read_listing,
)

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0\n"), min_size=1, max_size=8)
PATHS = st.lists(NAMES.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=3)
DIGESTS = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(st.dictionaries(PATHS.map("/".join), DIGESTS, max_size=6))
def test_a_folders_digest_is_that_of_dvc(files: dict[str, str]) -> None:
    tree = Tree()
    for path, digest in files.items():
        tree.add(tuple(path.split("/")), None, HashInfo("md5", digest))
    tree.digest()
    assert tree.hash_info is not None
    assert folder_digest(files) == tree.hash_info.value
    assert parse_listing(tree.as_bytes()) == files


def test_a_file_is_its_bytes_and_a_folder_its_files_with_their_paths(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "c").symlink_to(tmp_path / "a")  # DVC's cache may be linked so
    sizes: list[int] = []
    one = read_content(tmp_path / "a")
    assert one == Content("f97c5d29941bfb1b2fdab0874906ab82")  # md5sum
    assert not one.is_folder
    whole = read_content(tmp_path, sizes.append)
    assert whole.files == {
        "a": one.digest,
        "c": one.digest,
        "in/b": "b8a9f715dbb64fd5c56e7783c6820a61",
    }
    assert whole.is_folder
    assert sum(sizes) == 9


DIGEST = "0" * 32
FORGED = [
    *({"relpath": path, "md5": DIGEST} for path in ("../x", "/etc/x", "a/../../x", "a//b", "", 3)),
    *({"relpath": "x", "md5": md5} for md5 in ("../../x", "0" * 31, "A" * 32, None, ["0"])),
]


@pytest.mark.parametrize("entry", FORGED)
def test_a_listing_does_not_leave_its_folder_or_the_cache(
    entry: dict[str, Any], tmp_path: Path
) -> None:
    data = json.dumps([{"relpath": "fine", "md5": DIGEST}, entry])
    with pytest.raises(ValueError, match=r"listing|leaves"):
        parse_listing(data.encode())
    (tmp_path / "listing").write_text(data, encoding="utf-8")
    assert read_listing(tmp_path / "listing") == {}


@pytest.mark.parametrize("data", [b"{", b"[1]", b'[{"md5": "a"}]', b"3", b"[" * 100_000])
def test_what_is_no_listing_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (json's own error is one too)
        parse_listing(data)
