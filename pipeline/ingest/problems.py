"""Problems of a raw corpus: all gathered, the first ones shown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from pipeline.core.errors import DataError
from pipeline.core.printing import printable
from pipeline.ingest.rows import Place

SHOWN = 20
_VALUE = 60
_NAMES = 30
_LONGEST = 2000
"""Characters of a problem: names of columns may be any number, and of any length."""


class InvalidCorpusError(DataError):
    """A raw corpus has problems; ``lines`` are the first of them, one line each."""

    def __init__(self, message: str, lines: list[str]) -> None:
        super().__init__(message)
        self.lines = lines


class Problems:
    """Gathers problems: counts all, keeps the first ones in the order of files and lines."""

    def __init__(self) -> None:
        self.count = 0
        self._files: dict[str, int] = {}
        self._kept: list[tuple[int, int, int, str]] = []

    def add(
        self, place: Place, what: str, *, field: str | None = None, advice: str | None = None
    ) -> None:
        """Notes a problem.

        Args:
            place: its file and line; line 0 means the whole file.
            what: what is wrong, with the value where there is one (see ``show``).
            field: the field that it is in.
            advice: what the user can do.
        """
        order = self._files.setdefault(place.file, len(self._files))
        where = f"{place.file}:{place.line}: " if place.line else f"{place.file}: "
        what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}..."
        text = where + (f"field {show(field)}: " if field else "") + what
        self._kept.append((order, place.line, self.count, text + (f"; {advice}" if advice else "")))
        self.count += 1
        if len(self._kept) >= 50 * SHOWN:
            self._kept = sorted(self._kept)[:SHOWN]

    def add_unshown(self, count: int) -> None:
        """Notes more problems, which come after as many as are shown."""
        self.count += count

    def clear(self) -> None:
        """Forgets all of them."""
        self.count = 0
        self._files.clear()
        self._kept.clear()

    def lines(self) -> list[str]:
        """The first problems, one line each."""
        return [printable(text) for *_, text in sorted(self._kept)[:SHOWN]]

    def raise_if_any(self, path: str) -> None:
        """Raises what was gathered.

        Raises:
            InvalidCorpusError: there was any problem.
        """
        if not self.count:
            return
        lines = self.lines()
        if self.count == 1:
            message = f"{path}: 1 problem, above; nothing was written"
        else:
            shown = "above" if self.count == len(lines) else f"the first {len(lines)} above"
            message = f"{path}: {self.count} problems, {shown}; nothing was written"
        raise InvalidCorpusError(message, lines)


def show(value: Any) -> str:
    """A value from a file, quoted and shortened."""
    text = repr(value[: 2 * _VALUE] if isinstance(value, str) else value)
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 3]}..."


def listed(names: Iterable[object]) -> str:
    """The first of some names, as a sentence has them."""
    shown = [show(name) for name in islice(names, _NAMES + 1)]
    return ", ".join([*shown[:_NAMES], "..."] if len(shown) > _NAMES else shown)
