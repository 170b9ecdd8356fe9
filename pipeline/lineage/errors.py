"""The error of this room, apart from ``pipeline/errors.py``: every stage depends on that file."""

from __future__ import annotations

from pipeline.errors import IcehouseError


class LineageError(IcehouseError):
    """Where a file came from cannot be told, or what is rebuilt is not the file."""
