"""Paths from names that come from data: the one place where such a name becomes a path.

A shard's name in a manifest, a file in a weights index, a path in a listing of DVC: whoever made
the data chose it. Only what is checked here may be joined to a folder and opened.
"""

from __future__ import annotations

from pathlib import Path

_LONGEST_NAME = 255
"""Bytes of one component of a path, on every file system in use."""


class UnsafeNameError(ValueError):
    """A name that is no path inside its folder; the text says why."""


def member(folder: Path, name: object) -> Path:
    """The path of a file directly in a folder, by a name that data gives.

    Raises:
        UnsafeNameError: the name is no plain file name.
    """
    checked = _relative(name)
    if len(checked) != 1:
        raise UnsafeNameError(f"{_show(name)} is not the name of a file in a folder")
    return folder / checked[0]


def inside(folder: Path, name: object) -> Path:
    """The path of a file anywhere below a folder, by a relative path that data gives.

    Raises:
        UnsafeNameError: the path is absolute, climbs, or is no path at all.
    """
    return folder.joinpath(*_relative(name))


def is_member_name(name: object) -> bool:
    """Whether a name is that of a file directly in a folder; see ``member``."""
    try:
        return len(_relative(name)) == 1
    except UnsafeNameError:
        return False


def _relative(name: object) -> list[str]:
    r"""Components of a relative path: none empty, ``.`` or ``..``, no ``\`` and no control code."""
    if not isinstance(name, str) or not name:
        raise UnsafeNameError(f"{_show(name)} is not a path")
    parts = name.split("/")
    for part in parts:
        if part in ("", ".", ".."):
            raise UnsafeNameError(f"{_show(name)} leaves its folder")
        if "\\" in part or not part.isprintable():
            raise UnsafeNameError(f"{_show(name)} has characters that no name here has")
        if len(part.encode("utf-8", errors="surrogatepass")) > _LONGEST_NAME:
            raise UnsafeNameError(f"{_show(name)} is too long")
    return parts


def _show(name: object) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else text[:77] + "..."
