"""Lines of text files, with errors that say where a file is not text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import DataError


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yields ``(line number from 1, line without its end)`` of a UTF-8 file.

    Only ``\\n`` and ``\\r\\n`` end a line: other separators of Unicode belong to the text.

    Raises:
        DataError: the file is absent, or a line is not UTF-8.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; `make setup` writes the samples, `dvc pull` brings tracked data"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}:{number}: not UTF-8 at byte {error.start + 1}; convert the file, "
                    "for example with iconv -f latin1 -t utf-8"
                ) from None
            if number == 1:
                line = line.removeprefix("\ufeff")  # the byte order mark of some editors
            yield number, line.removesuffix("\n").removesuffix("\r")
