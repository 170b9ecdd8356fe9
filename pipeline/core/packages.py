"""Data files inside installed packages, found without importing the packages' code."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path


class PackageFilesMissingError(Exception):
    """No installed package has the files; the text says which were looked for."""


def package_files(prefix: str) -> dict[str, Path]:
    """The installed files whose path starts with ``prefix`` (``package/folder``).

    Reads the file lists of the installed distributions; nothing of theirs is imported or run.

    Returns:
        Absolute paths by the path below ``prefix``, sorted.

    Raises:
        PackageFilesMissingError: no installed distribution lists such a file.
    """
    wanted = prefix.strip("/") + "/"
    package = wanted.split("/", 1)[0]
    # The file lists of a hundred distributions are slow to read, and names nearly always tell.
    distributions = sorted(metadata.distributions(), key=lambda d: not _may_provide(d, package))
    found: dict[str, Path] = {}
    for distribution in distributions:
        for file in distribution.files or ():
            name = file.as_posix()
            if name.startswith(wanted):
                found[name.removeprefix(wanted)] = Path(str(distribution.locate_file(file)))
        if found:
            break
    else:
        raise PackageFilesMissingError(f"no installed package has files under {prefix!r}")
    return dict(sorted(found.items()))


def _may_provide(distribution: metadata.Distribution, package: str) -> bool:
    top_level = distribution.read_text("top_level.txt")
    if top_level is not None:
        return package in top_level.split()
    return _normal(distribution.metadata["Name"] or "") == _normal(package)


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
