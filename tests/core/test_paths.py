from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.core.paths import UnsafeNameError, inside, is_member_name, member

FOLDER = Path("/folder")

NEVER = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "//etc/passwd",
    "../other",
    "a/../../other",
    "a//b",
    "a/./b",
    "a/",
    "a\\b",
    "..\\other",
    "nul\x00byte",
    "line\nbreak",
    "\x1b[2J",
    "\u202egnp.exe",
    "\ud800",
    "x" * 256,
    "ж" * 128,
    "a/" + "x" * 256,
    None,
    3,
    b"bytes",
    ["list"],
]


@pytest.mark.parametrize("name", NEVER, ids=ascii)
def test_a_name_that_leaves_its_folder_is_no_path(name: Any) -> None:
    with pytest.raises(UnsafeNameError) as caught:
        inside(FOLDER, name)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 160
    with pytest.raises(UnsafeNameError):
        member(FOLDER, name)
    assert not is_member_name(name)


@pytest.mark.parametrize("name", ["a", "a.b", "..a", "a b", "тон", "x" * 255, "~", "$HOME", "-"])
def test_a_plain_name_is_a_path_in_the_folder(name: str) -> None:
    assert member(FOLDER, name) == inside(FOLDER, name) == Path("/folder") / name
    assert is_member_name(name)


def test_a_path_below_the_folder_is_no_member() -> None:
    assert inside(FOLDER, "shards/0123/tokens.h5") == Path("/folder/shards/0123/tokens.h5")
    with pytest.raises(UnsafeNameError, match="not the name of a file in a folder"):
        member(FOLDER, "shards/tokens.h5")
