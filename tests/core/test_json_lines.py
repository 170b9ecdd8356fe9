from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core import json_lines
from pipeline.core.json_lines import append_line, read_lines
from pipeline.core.reading import SpecialFileError


def test_values_are_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for value in ([1, "a"], {"b": None}, "\u2028"):
        append_line(path, value)
    assert read_lines(path) == [[1, "a"], {"b": None}, "\u2028"]
    assert path.read_bytes().count(b"\n") == 3


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "nowhere") == []
    assert read_lines(tmp_path) == []


@pytest.mark.parametrize("line", ["[" * 100_000, "{", "", "NaN", '"\\ud800"', "9" * 10_000, "\x00"])
def test_odd_lines_are_passed_over(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lines"
    path.write_text(f"1\n{line}\n2\n{line}", encoding="utf-8")
    assert read_lines(path) == [1, 2]


def test_a_line_that_is_not_utf8_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b'1\n"\xff"\n2\n')
    assert read_lines(tmp_path / "lines") == [1, 2]


def test_what_is_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MOST_BYTES", 6)
    (tmp_path / "lines").write_text("1\n2\n3\n4\n5\n", encoding="utf-8")
    assert read_lines(tmp_path / "lines") == [1, 2, 3]


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder", "device"])
def test_only_a_plain_file_is_read_or_appended_to(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "lines", tmp_path / "other"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        if kind == "link":
            other.write_text("1\n", encoding="utf-8")
        path.symlink_to("/dev/zero" if kind == "device" else other)
    assert read_lines(path) == []
    with pytest.raises(SpecialFileError):
        append_line(path, 2)
    assert other.exists() == (kind == "link")
    if kind == "link":
        assert other.read_text(encoding="utf-8") == "1\n"
