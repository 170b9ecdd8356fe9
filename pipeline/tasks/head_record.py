"""The one reader of ``head.json``: what a trained head is, and what made it.

Evaluation and the report read a part of it and import no heads, so that it stands here. Weights
and settings of a head are held against each other in ``pipeline.heads.checkpoint``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipeline.core.reading import Record, parse_json, parse_record, read_bytes
from pipeline.tasks.label_type import LabelType
from pipeline.tasks.registry import label_type_named

Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Training(Record):
    model_config = ConfigDict(extra="ignore")

    seeds: tuple[Count, ...] = Field(min_length=1)
    metric: str = ""


class _Settings(Record):
    """What is read without the settings of heads, which may be those of another version."""

    model_config = ConfigDict(extra="ignore")

    label: str
    training: _Training
    layers: tuple[int, ...] | None = None
    corpus: str = ""
    features: str = ""
    task: str = ""
    combine: str = ""
    recurrent: dict[str, str | int | float | bool | None] | None = None


class _Losses(Record):
    train: tuple[float, ...] = Field(min_length=1)
    dev: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _are_of_the_same_epochs(self) -> Self:
        if len(self.train) != len(self.dev):
            raise ValueError("'losses' of train and dev are of different epochs")
        return self


class HeadRecord(Record):
    """``head.json``; versions differ in what is there, and not in what it holds.

    Attributes:
        settings: the head's row, with what follows from its label type.
        label_type: its name; ``kind`` of versions before.
        labels: that it tells apart.
        thresholds: of several labels per text, from which probability on it has each.
        width: of one layer's states.
        layers: that it reads, counted from the start.
        fold: that is tested, of the run that was kept.
        seed: of that run.
        best_epoch: of that run.
        dev_score: there.
        losses: of that run, one of ``train`` and of ``dev`` per epoch.
        parameters: numbers that it learnt.
        data: what became of the examples.
        texts_sha256: of the corpus's texts.
        recipe: of the features.
        pairs: ``apart`` of a head that is given pairs, each text a row of its own.
        torch: version that trained it.
    """

    model_config = ConfigDict(extra="ignore")

    settings: _Settings
    label_type: str | None = None
    kind: str | None = None
    labels: tuple[str, ...] = ()
    thresholds: dict[str, float] | None = None
    width: int = Field(default=1, ge=1, lt=2**31)
    layers: tuple[Count, ...] = ()
    fold: Count | None = None
    seed: Count | None = None
    best_epoch: Count = 0
    dev_score: float = 0.0
    losses: _Losses | None = None
    parameters: Count = 0
    data: dict[str, Any] = Field(default_factory=dict)
    texts_sha256: str = ""
    recipe: dict[str, Any] = Field(default_factory=dict)
    pairs: Literal["apart"] | None = None
    torch: str = ""

    @property
    def pairs_apart(self) -> bool:
        """Whether it reads pairs, each text a row of its own."""
        return self.pairs == "apart"

    @property
    def learns(self) -> LabelType:
        """The label type that it learnt.

        Raises:
            DataError: there is none of that name.
        """
        return label_type_named(str(self.label_type or self.kind))

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        for what in (self.labels, self.layers):
            if len(set(what)) != len(what):
                raise ValueError("a label or a layer is named twice")
        asked = self.settings.layers
        told = "layers" in self.model_fields_set
        if asked is not None and told and len(asked) != len(self.layers):
            raise ValueError("'layers' are not those of the settings")
        if self.thresholds is not None and set(self.thresholds) != set(self.labels):
            raise ValueError("'thresholds' are not those of 'labels'")
        return self


def read_head_record(path: Path, needed: Iterable[str]) -> tuple[HeadRecord, dict[str, Any]]:
    """Reads ``head.json``.

    Args:
        path: the file.
        needed: what must be there besides, as ``width`` or ``settings.corpus``.

    Returns:
        The record, and all that the file holds.

    Raises:
        OSError: it is absent, or no file of its size and kind.
        ValueError: it is damaged, or of another version.
    """
    data = read_bytes(path)
    content: dict[str, Any] = parse_json(data)
    record = parse_record(HeadRecord, data)
    for name in needed:
        found: Any = content
        for key in name.split("."):
            if not isinstance(found, Mapping) or key not in found:
                raise ValueError(f"has no {name}")
            found = found[key]
    return record, content
