"""Registry of label types: a line for each."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from pipeline.core.errors import DataError
from pipeline.tasks.entities import Entities
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.multi_label import MultiLabel
from pipeline.tasks.regression import Regression
from pipeline.tasks.single_label import SingleLabel
from pipeline.tasks.tags import Tags

LABEL_TYPES: list[LabelType] = [
    SingleLabel(),
    MultiLabel(),
    Regression(),
    Tags(),
    Entities("bio"),
    Entities("bioes"),
]
"""All label types; of several for the same task and column, the first one is the default."""

STORED_BEFORE = {
    "class": "single_label",
    "classes": "multi_label",
    "number": "regression",
    "bio": "entities",
}
"""Names that ``head.json`` had for label types, and what they are called now."""


def tasks() -> list[str]:
    """Names of all tasks."""
    return list(dict.fromkeys(own.task for own in LABEL_TYPES))


def label_type_named(name: str) -> LabelType:
    """The label type that ``head.json`` names, by its name of today or of before.

    Raises:
        DataError: there is none.
    """
    name = STORED_BEFORE.get(name, name)
    for own in LABEL_TYPES:
        if own.name == name:
            return own
    known = ", ".join(dict.fromkeys(own.name for own in LABEL_TYPES))
    raise DataError(f"there is no label type {name!r}; there are: {known}")


def label_types_of_task(task: str) -> list[LabelType]:
    """Label types that a task learns: their metrics and kinds of label columns."""
    return [own for own in LABEL_TYPES if own.task == task]


def default_label_type(column_kind: str) -> LabelType:
    """The label type that a kind of label column is usually learnt as."""
    return next(own for own in LABEL_TYPES if own.column_kind == column_kind)


def label_type_for(task: str, column_kind: str, scheme: str | None = None) -> LabelType:
    """The label type of a task on a label column.

    Args:
        task: as ``params.yaml`` names it.
        column_kind: what the column holds.
        scheme: tagging scheme; ``None`` for the default one.

    Raises:
        DataError: the task does not learn such a column.
    """
    of_task = label_types_of_task(task)
    for own in of_task:
        if own.column_kind == column_kind and scheme in (None, own.scheme):
            return own
    kinds = dict.fromkeys(repr(own.column_kind) for own in of_task)
    raise DataError(
        f"the label holds {column_kind!r}, the task learns {' or '.join(kinds)}: "
        "change the head's task or label"
    )


def _known(task: str) -> str:
    if task not in tasks():
        raise ValueError(f"must be one of {', '.join(tasks())}, not {task!r}")
    return task


Task: TypeAlias = Annotated[str, AfterValidator(_known)]
"""A task of ``params.yaml``, checked against the registry."""
