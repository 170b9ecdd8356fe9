"""Lines end where editors count them, and what is not text is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus.lines import numbered_lines
from pipeline.errors import DataError


@given(
    lines=st.lists(
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n")), min_size=1
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=50, deadline=None)
def test_lines_are_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str
):
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"\xef\xbb\xbf" + "".join(line + end for line in lines).encode("utf-8"))
    assert list(numbered_lines(path)) == list(enumerate(lines, start=1))


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_lines_are_not_ended_by_other_separators(tmp_path: Path, separator: str):
    path = tmp_path / "file"
    path.write_bytes(f"a{separator}b\nc".encode())
    assert list(numbered_lines(path)) == [(1, f"a{separator}b"), (2, "c")]


def test_lines_keep_blank_ones_and_white_space(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"\n a\t\n\n")
    assert list(numbered_lines(path)) == [(1, ""), (2, " a\t"), (3, "")]


def test_lines_drop_a_byte_order_mark_at_the_start_only(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("\ufeffa\n\ufeffb\n", encoding="utf-8")
    assert list(numbered_lines(path)) == [(1, "a"), (2, "\ufeffb")]


def test_lines_of_an_empty_file_are_none(tmp_path: Path):
    (tmp_path / "file").touch()
    assert list(numbered_lines(tmp_path / "file")) == []


def test_lines_rejects_bytes_that_are_not_utf_8_after_the_good_lines(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes("a\né\n".encode() + "bé\n".encode("latin-1"))
    lines = numbered_lines(path)
    assert [next(lines), next(lines)] == [(1, "a"), (2, "é")]
    with pytest.raises(DataError, match=r"file:3: not UTF-8 at byte 2; .* iconv"):
        next(lines)


def test_lines_rejects_an_absent_file(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent: no such file; .*make setup"):
        list(numbered_lines(tmp_path / "absent"))


def test_lines_rejects_a_folder(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot be read: Is a directory"):
        list(numbered_lines(tmp_path))
