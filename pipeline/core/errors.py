"""One tree of errors that speak to the user: what is wrong, where, and what to do about it.

A stage turns any of these into one line on standard error and exit code 2. Anything else that is
raised is a bug and keeps its traceback.
"""

from __future__ import annotations


class IcehouseError(Exception):
    """A problem that the user can act on; its text is the whole message."""


class ParameterError(IcehouseError):
    """A value in ``params.yaml`` is missing, unknown, of the wrong type, or contradicts another."""


class DataError(IcehouseError):
    """A raw corpus, or a file made from one, does not hold what it must."""


class EncoderError(IcehouseError):
    """A frozen encoder cannot be found, read or used."""


class StoreError(IcehouseError):
    """Stored features are absent, damaged, of an unknown version, or of other texts."""


class TrainingError(IcehouseError):
    """A head cannot be trained as asked."""


class MachineError(IcehouseError):
    """An environment variable, or the machine itself, does not allow what was asked."""


class LineageError(IcehouseError):
    """Lineage of a file that cannot be told, or a rebuild that is not the file."""
