"""What is in a folder that somebody else may have made.

Hidden entries, whose names begin with a dot, are left out. A symbolic link to a file is read where
the file is in the corpus, or in a cache of DVC, which may check data out as links; no other link
is, so that no file from elsewhere becomes a text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

_CACHED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}")
"""How DVC names a file in its cache: by its MD5, the first two digits apart."""


def files_below(folder: Path, hidden: Callable[[], object] = int) -> Iterator[os.DirEntry[str]]:
    """Yields what is in a folder and in those below it, in the order of names, but no folders.

    Links are not followed; one to a folder is yielded as a file is.

    Args:
        folder: where to begin.
        hidden: told of each entry that is left out because its name begins with a dot.
    """
    pending = [str(folder)]
    while pending:
        below = []
        for entry in entries(pending.pop()):
            if entry.name.startswith("."):
                hidden()
            elif entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            else:
                yield entry
        pending += reversed(below)


def entries(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder, in the order of names."""
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def link_problem(path: Path, root: Path) -> str | None:
    """Why a symbolic link is not read in a corpus whose folder is ``root``; ``None`` if it is.

    A link to a folder is none that DVC makes, and may lead around in a circle.
    """
    target = Path(os.path.realpath(path))
    if path.is_dir():
        return "is a link to a folder"
    if not target.exists():
        return "is a link to nothing"
    in_cache = _CACHED.fullmatch("/".join(target.parts[-2:]))
    if in_cache or target.is_relative_to(os.path.realpath(root)):
        return None
    return f"is a link to a file outside of {root}: {target}"
