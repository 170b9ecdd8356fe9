"""Settings of a probe: the fields that it shares with a row of ``heads`` in ``params.yaml``.

A module of its own, and not ``pipeline.heads.settings``: neither another recurrent network nor
another code of its settings makes a probe stale.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field

from pipeline.core.params import Section
from pipeline.tasks.registry import Task


class ProbeSettings(Section):
    """The fields of a head's row that its probe shares; it ignores all others.

    Attributes:
        label: the label column.
        task: what is learned.
        layers: the layers that are read; several are concatenated.
    """

    model_config = ConfigDict(extra="ignore")

    label: str
    task: Task
    layers: tuple[int, ...] = Field(min_length=1)
