"""Texts that a head is asked about: JSON Lines, or a text per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from pipeline.core.errors import DataError
from pipeline.corpus.texts import Text, TextPair

LONGEST_LINE = 1 << 24
"""Bytes, as many as a line of a corpus may have characters; its tokens take gigabytes."""


def split_lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yields the lines of a stream, with their ends.

    Raises:
        DataError: a line has no end in sight, which would fill the memory.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise DataError(f"{name}:{number}: the line has more than {LONGEST_LINE >> 20} MiB")
        yield line


def read_lines(lines: Iterable[bytes], name: str) -> Iterator[tuple[str, Text]]:
    """Yields ``(line number, text)`` of a file with a text per line, empty ones included.

    Raises:
        DataError: a line is not UTF-8.
    """
    for number, line in _decoded(lines, name):
        yield str(number), line


def read_rows(lines: Iterable[bytes], name: str) -> Iterator[tuple[str, Text]]:
    """Yields ``(id, text)`` of JSON Lines in the form of ``data/text/<corpus>/texts.jsonl``.

    A row has ``text``, ``text`` and ``text_b``, or ``words``, and may have an ``id``, which is its
    line number otherwise. Other fields are passed over, and so are blank lines.

    Raises:
        DataError: a line is not such an object.
    """
    for number, line in _decoded(lines, name):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{where}: not JSON: {error}; for a text per line, say --format lines"
            ) from None
        if not isinstance(row, dict):
            raise DataError(f'{where}: must be a JSON object, like {{"text": ...}}')
        identity = row.get("id", number)
        if not isinstance(identity, str | int) or isinstance(identity, bool):
            raise DataError(f"{where}: field 'id' must be a string or a whole number")
        yield _whole(str(identity), where), _text(row, where)


def is_row(text: Text) -> bool:
    """Whether a text is a row of JSON Lines that ``read_rows`` reads; nobody wants it as text."""
    try:
        row = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and not {"text", "words"}.isdisjoint(row)


def _text(row: dict[str, Any], where: str) -> Text:
    words = row.get("words")
    if words is not None:
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DataError(f"{where}: field 'words' must be a list of strings")
        return tuple(_whole(word, where) for word in words)
    if "text" not in row:
        fields = ", ".join(map(repr, row)) or "none"
        raise DataError(f"{where}: has neither 'text' nor 'words'; its fields: {fields:.200}")
    parts = [row["text"], row["text_b"]] if "text_b" in row else [row["text"]]
    if not all(isinstance(part, str) for part in parts):
        raise DataError(f"{where}: 'text' and 'text_b' must be strings")
    whole = [_whole(part, where) for part in parts]
    return TextPair(*whole) if len(whole) == 2 else whole[0]


def _whole(part: str, where: str) -> str:
    try:
        part.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{where}: holds a lone surrogate, which is no character") from None
    return part


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}:{number}: not UTF-8 at byte {error.start + 1}") from None
        if number == 1:
            line = line.removeprefix("\ufeff")
        yield number, line.removesuffix("\n").removesuffix("\r")
