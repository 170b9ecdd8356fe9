"""Lines end where editors count them, and what is not text is refused with its place."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.lines import numbered_lines
from pipeline.ingest.problems import Problems
from pipeline.ingest.sources import Source


def read(folder: Path, content: bytes, **options: Any) -> tuple[list[tuple[int, str]], list[str]]:
    """Lines and problems of a file with this content."""
    path = folder / "file"
    path.write_bytes(content)
    problems = Problems()
    lines = list(numbered_lines(Source(path, problems), **options))
    return lines, [line.replace(f"{folder}/", "") for line in problems.lines()]


@given(
    lines=st.lists(
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0")), min_size=1
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=50, deadline=None)
def test_lines_are_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str
):
    path = tmp_path_factory.mktemp("lines") / "file"
    path.write_bytes(b"\xef\xbb\xbf" + "".join(line + end for line in lines).encode("utf-8"))
    assert list(numbered_lines(Source(path, Problems()))) == list(enumerate(lines, start=1))


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_lines_are_not_ended_by_other_separators(tmp_path: Path, separator: str):
    path = tmp_path / "file"
    path.write_bytes(f"a{separator}b\nc".encode())
    assert list(numbered_lines(Source(path, Problems()))) == [(1, f"a{separator}b"), (2, "c")]


def test_lines_keep_blank_ones_and_white_space(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"\n a\t\n\n")
    assert list(numbered_lines(Source(path, Problems()))) == [(1, ""), (2, " a\t"), (3, "")]


def test_lines_drop_a_byte_order_mark_at_the_start_only(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("\ufeffa\n\ufeffb\n", encoding="utf-8")
    assert list(numbered_lines(Source(path, Problems()))) == [(1, "a"), (2, "\ufeffb")]


def test_lines_of_an_empty_file_are_none(tmp_path: Path):
    assert read(tmp_path, b"")[0] == []


def test_lines_keep_their_ends_where_asked(tmp_path: Path):
    lines, _ = read(tmp_path, b"a\r\nb\nc", keep_ends=True)
    assert lines == [(1, "a\r\n"), (2, "b\n"), (3, "c")]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "shift_jis"])
def test_lines_are_read_in_their_encoding(tmp_path: Path, encoding: str):
    text = "a\nb\n" if encoding == "shift_jis" else "\u00e9\n\u00fc\n"
    lines, problems = read(tmp_path, text.encode(encoding), encoding=encoding)
    assert [line for _, line in lines] == text.split()
    assert problems == []


def test_gzipped_lines_are_read_whatever_the_name(tmp_path: Path):
    lines, problems = read(tmp_path, gzip.compress("\ufeff\u00e9\nb\n".encode()))
    assert (lines, problems) == ([(1, "\u00e9"), (2, "b")], [])


@pytest.mark.parametrize("cut", [slice(0, -9), slice(0, 14)])
def test_a_damaged_gzip_file_is_a_problem(tmp_path: Path, cut: slice):
    _, problems = read(tmp_path, gzip.compress(b"a\n" * 1000)[cut])
    assert len(problems) == 1
    assert "the gzip file is damaged; compress it again" in problems[0]


def test_a_gzip_file_with_a_flipped_bit_is_a_problem(tmp_path: Path):
    content = bytearray(gzip.compress(b"a\n" * 1000))
    content[-6] ^= 1
    assert "the gzip file is damaged" in read(tmp_path, bytes(content))[1][0]


def test_what_is_no_utf_8_is_a_problem_of_its_line_and_byte(tmp_path: Path):
    lines, problems = read(tmp_path, "a\n\u00e9\n".encode() + b"b\xe9\xe9\nc\n")
    assert lines == [(1, "a"), (2, "\u00e9"), (3, "b\ufffd\ufffd"), (4, "c")]
    (problem,) = problems
    assert problem.startswith("file:3: not UTF-8 at byte 2; set 'encoding'")


def test_what_is_no_utf_16_is_a_problem_and_ends_reading(tmp_path: Path):
    _, problems = read(tmp_path, b"\xff\xfea\x00\n\x00\x00\xd8b\x00", encoding="utf-16")
    assert len(problems) == 1
    assert "not utf-16" in problems[0]


def test_nul_characters_are_a_problem(tmp_path: Path):
    _, problems = read(tmp_path, b"a\nb\0\n")
    (problem,) = problems
    assert problem.startswith("file:2: a NUL character at column 2; remove it")


def test_a_line_without_end_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pipeline.ingest.lines.LONGEST_ROW", 10)
    lines, problems = read(tmp_path, b"short\n" + b"x" * 100 + b"\nafter\n")
    assert lines == [(1, "short")]
    assert problems == [
        "file:2: the line is longer than 10 characters; is 'format' right? Reading stopped here"
    ]


def test_a_file_that_cannot_be_opened_is_a_problem(tmp_path: Path):
    problems = Problems()
    assert list(numbered_lines(Source(tmp_path / "absent", problems))) == []
    assert "cannot be read: No such file" in problems.lines()[0]


def test_progress_adds_up_to_the_bytes_on_disk(tmp_path: Path):
    content = gzip.compress(b"some text\n" * 5000)
    (tmp_path / "file").write_bytes(content)
    told: list[int] = []
    source = Source(tmp_path / "file", Problems(), advance=told.append)
    assert len(list(numbered_lines(source))) == 5000
    assert sum(told) == len(content)
    assert len(told) > 1
