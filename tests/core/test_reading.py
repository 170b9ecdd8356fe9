from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from pipeline.core.reading import (
    LargeFileError,
    Record,
    SpecialFileError,
    open_descriptor,
    open_regular,
    parse_json,
    parse_record,
    read_bytes,
    read_text,
)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("тон\r\n".encode())
    assert read_text(path) == "тон\r\n"
    assert read_bytes(path, limit=8) == path.read_bytes()
    with pytest.raises(LargeFileError, match="has more than 0 MiB"):
        read_bytes(path, limit=7)


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device"])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "place"
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "socket":
            monkeypatch.chdir(tmp_path)  # the path of a socket has at most 107 bytes
            server.bind("place")
        else:
            path = Path("/dev/zero")
        for opened in (path, tmp_path / "link"):
            if opened != path:
                opened.symlink_to(path)
            with pytest.raises(SpecialFileError, match=f"is a {kind}, not a file") as caught:
                open_regular(opened)
            assert caught.value.filename == str(opened)
            with pytest.raises(SpecialFileError):
                open_descriptor(opened, os.O_RDWR | os.O_CREAT)


def test_a_link_is_followed_where_it_may_be(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_text("kept")
    link.symlink_to(path)
    assert read_text(link) == "kept"
    with pytest.raises(SpecialFileError, match="is a link, not a file"):
        read_bytes(link, follow=False)
    with pytest.raises(SpecialFileError):
        open_descriptor(link, os.O_RDWR | os.O_CREAT, follow=False)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "made")
    with pytest.raises(SpecialFileError):
        open_descriptor(dangling, os.O_RDWR | os.O_CREAT, follow=False)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text",
    ["", "[" * 100_000, '{"a":' * 100_000, "NaN", "Infinity", '"\\ud800"', "9" * 5000, "[1] 2"],
    ids=lambda text: text[:10],
)
def test_json_that_could_do_harm_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_json(text)


class Entry(Record):
    name: str
    parts: tuple[int, ...]


def test_a_record_is_strict_and_names_the_field() -> None:
    assert parse_record(Entry, '{"name": "a", "parts": [1, 2]}') == Entry(name="a", parts=(1, 2))
    for text, problem in {
        '{"name": 3, "parts": []}': "name: input should be a valid string",
        '{"name": "", "parts": [1, "2"]}': "parts.1: input should be a valid integer",
        '{"name": "", "parts": [], "more": 1}': "more: extra inputs are not permitted",
        "[": "invalid JSON: EOF while parsing a list at line 1 column 1",
    }.items():
        with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
            parse_record(Entry, text)
