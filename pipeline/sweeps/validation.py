"""A sweep's row of ``params.yaml``, checked against the head that it searches around."""

from __future__ import annotations

from typing import Any

from pipeline.core.params import ParamsFile
from pipeline.heads.settings import HeadSettings
from pipeline.sweeps.settings import SweepSettings
from pipeline.sweeps.space import NOT_SEARCHED, pairs, trial_settings, with_values

TABLE = "sweeps"


def read_sweep(params: ParamsFile, name: str) -> tuple[SweepSettings, dict[str, Any]]:
    """The settings of a sweep, and the row of its head as it is written.

    Every choice, every subset and both ends of every range have been put into the head's row, one
    at a time and any two together.

    Raises:
        ParameterError: the row or its head does not fit; one line, naming file, line and field.
    """
    if TABLE not in params.data:
        raise params.error((), f"has no table {TABLE!r}; docs/guides/iterate.md shows one")
    params.table(TABLE)
    settings = params.section(SweepSettings, TABLE, name)
    heads = params.table("heads")
    if settings.head not in heads:
        known = ", ".join(heads) or "none"
        raise params.error(
            (TABLE, name, "head"), f"there is no heads.{settings.head}; known are: {known}"
        )
    params.section(HeadSettings, "heads", settings.head)
    row: dict[str, Any] = heads[settings.head]
    for path in settings.space:
        if path in NOT_SEARCHED:
            raise params.error(
                (TABLE, name, "space", path),
                "is not searched: trials are compared by their dev scores, on the same data and "
                "with the same seeds",
            )
    for values in pairs(settings.space):
        keys = (TABLE, name, "space", list(values)[-1])
        shown = " and ".join(f"{path} {value!r}" for path, value in values.items())
        try:
            with_values(row, values)
        except KeyError:
            raise params.error(keys, f"heads.{settings.head} has no such setting") from None
        try:
            trial_settings(row, values)
        except ValueError as error:
            raise params.error(keys, f"heads.{settings.head} with {shown}: {error}") from None
    return settings, row
