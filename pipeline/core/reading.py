"""Reading of files that somebody else may have made: regular ones, of bounded size and depth.

A pipe never ends, a device never stops, and a parser takes many times the memory of its text. What
is read whole is therefore opened here.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

MOST_BYTES = 1 << 26
"""Most bytes of a file that is read and parsed as a whole, where nothing else is said: 64 MiB."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}


class Record(BaseModel):
    """Base of what is read from JSON that others may have made: no unknown keys, no conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


RecordType = TypeVar("RecordType", bound=BaseModel)


class SpecialFileError(OSError):
    """A path that is no regular file: a pipe, a device, a folder, or a link where none may be."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(errno.EINVAL, f"is {kind}, not a file", str(path))


class LargeFileError(OSError):
    """A file that is larger than anything of its kind."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(errno.EFBIG, f"has more than {limit >> 20} MiB", str(path))


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Opens a regular file for reading, and waits for nothing.

    Args:
        path: the file.
        follow: whether it may be a symbolic link; never where others may write to the folder.

    Raises:
        SpecialFileError: it is something else.
        OSError: it cannot be opened.
    """
    return os.fdopen(open_descriptor(path, os.O_RDONLY, follow=follow), "rb")


def open_descriptor(path: Path, flags: int, *, follow: bool = True, mode: int = 0o666) -> int:
    """``os.open`` that gives a regular file or nothing, and neither waits nor truncates.

    Args:
        path: the file.
        flags: of ``os.open``; ``O_TRUNC`` would act before the file is looked at.
        follow: as for ``open_regular``.
        mode: rights of a file that ``O_CREAT`` makes.

    Raises:
        SpecialFileError: it is something else.
        OSError: it cannot be opened.
    """
    flags |= os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY  # a pipe without a writer would wait
    try:
        descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW, mode)
    except OSError as error:
        # What O_NOFOLLOW meets, and a pipe without a reader, a socket or a folder to write to.
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR) and os.path.lexists(path):
            kind = stat.S_IFMT((path.stat if follow else path.lstat)().st_mode)
            raise SpecialFileError(path, _KINDS.get(kind, "no regular file")) from None
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise SpecialFileError(path, _KINDS.get(kind, "no regular file"))
    return descriptor


def read_bytes(path: Path, *, limit: int = MOST_BYTES, follow: bool = True) -> bytes:
    """A whole regular file.

    Raises:
        SpecialFileError: it is no regular file.
        LargeFileError: it has more bytes than ``limit``.
        OSError: it cannot be read.
    """
    with open_regular(path, follow=follow) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LargeFileError(path, limit)
    return data


def read_text(path: Path, *, limit: int = MOST_BYTES) -> str:
    """A whole regular file as UTF-8, with line ends as they are.

    Raises:
        OSError: as ``read_bytes``.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_bytes(path, limit=limit).decode("utf-8")


def parse_json(data: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, is nested more than 200 deep, or holds NaN, half of a surrogate
            pair, or a number of thousands of digits.
    """
    return from_json(data, allow_inf_nan=False)


def parse_record(model: type[RecordType], data: str | bytes) -> RecordType:
    """A JSON text as a model.

    Raises:
        ValueError: it is not JSON or does not fit; the text is one line that names the field.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None


def first_problem(error: ValidationError) -> str:
    """One line about the first thing that did not fit a model: field, and what is wrong."""
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return " ".join(f"{place}: {message}".split()) if place else " ".join(message.split())
