"""Files of JSON lines that several processes append to, also those of other users.

No link is followed: in a folder that others may write to, it could lead to any file of this user.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.core.reading import MOST_BYTES, open_descriptor, open_regular, parse_json


def append_line(path: Path, value: Any) -> None:
    """Appends a value in one short write: processes that append at once do not mix.

    Raises:
        SpecialFileError: the file is a link, or no regular file.
        OSError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    with os.fdopen(open_descriptor(path, flags, follow=False), "ab") as file:
        file.write(json.dumps(value, sort_keys=True).encode("ascii") + b"\n")


def read_lines(path: Path) -> list[Any]:
    """Values that ``append_line`` wrote; none where there is no such file.

    Lines that a killed process left half, or that are nested too deep, are passed over, and so is
    what comes after the first 64 MiB.
    """
    try:
        with open_regular(path, follow=False) as file:
            lines = file.read(MOST_BYTES).splitlines()
    except OSError:
        return []
    values = []
    for line in lines:
        with suppress(ValueError):
            values.append(parse_json(line))
    return values
