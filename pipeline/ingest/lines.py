"""Lines of text files, plain or gzipped; where a file is not text, that is noted."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from pipeline.core.reading import open_regular
from pipeline.ingest.sources import Source

LONGEST_ROW = 1 << 24
"""Characters of a line, or of a row of several; a longer one is a file of another format, and
reading it would fill the memory."""

MOST_LINES = 1 << 20
"""Lines of a row, which is a sentence where a line is a word."""

UTF_8 = "utf-8"
_GZIP = b"\x1f\x8b"
_ESCAPED = re.compile("[\udc80-\udcff]")
_TELL_EVERY = 1000


def numbered_lines(
    source: Source, encoding: str | None = None, *, keep_ends: bool = False
) -> Iterator[tuple[int, str]]:
    r"""Yields ``(line number from 1, line without its end)`` of a file.

    Only ``\\n`` and ``\\r\\n`` end a line: other separators of Unicode belong to the text. What
    cannot be decoded, and NUL bytes, are noted as problems, and stand as U+FFFD in what is yielded.
    """
    try:
        file = open_regular(source.path)
    except OSError as error:
        source.problems.add(source.at(0), f"cannot be read: {error.strerror}")
        return
    number, told = 0, 0
    with file, _text(file, encoding or UTF_8) as text:
        try:
            while line := text.readline(LONGEST_ROW):
                number += 1
                if number % _TELL_EVERY == 0:
                    source.advance(file.tell() - told)
                    told = file.tell()
                if len(line) == LONGEST_ROW and not line.endswith("\n"):
                    source.problems.add(
                        source.at(number),
                        f"the line is longer than {LONGEST_ROW:,} characters",
                        advice="is 'format' right? Reading stopped here",
                    )
                    return
                if number == 1:
                    line = line.removeprefix("\ufeff")  # the byte order mark of some editors
                if _ESCAPED.search(line) or "\0" in line:
                    line = _mended(line, number, source, encoding or UTF_8)
                yield number, line if keep_ends else line.removesuffix("\n").removesuffix("\r")
        except (EOFError, gzip.BadGzipFile, zlib.error):
            source.problems.add(
                source.at(number + 1), "the gzip file is damaged", advice="compress it again"
            )
        except UnicodeError:  # of encodings that are not made of bytes, such as UTF-16
            source.problems.add(source.at(number + 1), f"not {encoding}", advice=_ADVICE)
        source.advance(file.tell() - told)


_ADVICE = "set 'encoding' to that of the file, or convert it: iconv -f <its encoding> -t utf-8"


def _text(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    begin = file.read(4)
    file.seek(0)
    stream = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if begin.startswith(_GZIP) else file
    return io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="\n")


def _mended(line: str, number: int, source: Source, encoding: str) -> str:
    if bad := _ESCAPED.search(line):
        byte = len(line[: bad.start()].encode(encoding, "surrogateescape")) + 1
        source.problems.add(
            source.at(number), f"not {encoding.upper()} at byte {byte}", advice=_ADVICE
        )
    else:
        source.problems.add(
            source.at(number),
            f"a NUL character at column {line.index(chr(0)) + 1}",
            advice="remove it; if there are many, 'encoding' may be utf-16",
        )
    return _ESCAPED.sub("\ufffd", line).replace("\0", "\ufffd")


def note_long_row(source: Source, line: int) -> None:
    """Notes that a row of several lines has no end where it must have one."""
    source.problems.add(
        source.at(line),
        f"the row that begins here has more than {LONGEST_ROW:,} characters, or {MOST_LINES:,} "
        "lines",
        advice="is 'format' right? Reading stopped here",
    )
