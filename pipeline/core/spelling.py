"""The nearest of known names to one that is misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

_LONGEST = 100
_MOST = 1000
"""Characters of a name, and names: comparing takes time that grows with the square of the first."""


def closest(name: str, known: Iterable[object]) -> str | None:
    """The known name that is most like another; ``None`` where none is near."""
    if len(name) > _LONGEST:
        return None
    names = (text for text in map(str, islice(known, _MOST)) if len(text) <= _LONGEST)
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)
