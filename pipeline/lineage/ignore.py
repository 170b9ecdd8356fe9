"""Patterns of ``.dvcignore``: the files that DVC leaves out of a folder's digest."""

from __future__ import annotations

IGNORE_FILE = ".dvcignore"


class IgnorePatterns:
    """The patterns of the project's ``.dvcignore``, read as DVC reads them.

    Args:
        text: of the file; without a pattern, nothing is ignored.
    """

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        self._patterns = None
        if patterns:
            # Costs a tenth of a second, and is of use only where a folder is compared.
            from dvc.ignore import DvcIgnorePatterns

            self._patterns = DvcIgnorePatterns(patterns, "/", "/")

    def ignores(self, path: str) -> bool:
        """Whether DVC leaves out a file, by its path from the project's root."""
        return self._patterns is not None and bool(self._patterns.matches("/", path))
