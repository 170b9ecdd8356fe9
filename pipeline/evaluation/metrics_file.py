"""The reader of ``metrics.json``, for tables and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from pipeline.core.errors import DataError
from pipeline.core.reading import Record, parse_json, parse_record, read_bytes
from pipeline.evaluation.headlines import headlines
from pipeline.evaluation.predictions import SPLITS
from pipeline.evaluation.rivals import TITLES

Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]
Score: TypeAlias = Annotated[int, Field(gt=-(2**63), lt=2**63)] | float | None


_Details: TypeAlias = dict[str, dict[str, Score]] | None


class _Rival(Record):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Score]

    name: str
    margin: dict[str, Score]


class _Split(Record):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Score]

    baseline: _Rival | None = None
    tfidf: _Rival | None = None
    cosine: _Rival | None = None
    probe: _Rival | None = None
    per_class: _Details = None
    per_label: _Details = None
    per_tag: _Details = None
    per_type: _Details = None


class _Training(Record):
    """What ``pipeline.evaluation.verdict.training_facts`` gives."""

    epochs: Count
    kept_epoch: Count
    lowest_dev_loss_epoch: Count
    lowest_dev_loss: float
    last_dev_loss: float
    train_loss_then: float
    last_train_loss: float


class _Input(Record):
    file: str
    md5: str


class MetricsRecord(Record):
    """Metrics of a head; ``docs/metrics.md`` describes the fields."""

    dev: _Split
    test: _Split
    seed: Count | None = None
    fold: Count | None = None
    training: _Training | None = None
    runs: dict[str, dict[str, dict[str, Score]]] | None = None
    inputs: tuple[_Input, ...] = ()

    @model_validator(mode="after")
    def _every_headline_is_everywhere(self) -> Self:
        test, dev = self.test.model_dump(), self.dev.model_dump()
        needed = [end for name in headlines(test) for end in (name, f"{name}_low", f"{name}_high")]
        for where, found in _parts(test, dev, self.runs):
            absent = [name for name in needed if name not in found]
            # Rivals and runs have no interval of their own.
            if where != "interval":
                absent = [name for name in absent if not name.endswith(("_low", "_high"))]
            if absent:
                raise ValueError(f"has no {absent[0]}")
        return self


def _parts(
    test: dict[str, Any], dev: dict[str, Any], runs: Mapping[str, Mapping[str, Any]] | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What must have the headline scores, and whether with their intervals."""
    for split in (test, dev):
        yield "interval", split
        for rival in TITLES:
            if (split[rival] is None) != (test[rival] is None):
                raise ValueError(f"{rival} is of one split alone")
            if split[rival] is not None:
                yield "score", split[rival]
                yield "interval", split[rival]["margin"]
    for name in (*runs, "mean", "deviation") if runs is not None else ():
        for split_name in SPLITS:
            yield "score", (runs or {}).get(name, {}).get(split_name, {})


def read_metrics(path: Path) -> dict[str, Any]:
    """Reads the metrics of a head.

    Raises:
        DataError: the file is absent, damaged, or of another version.
    """
    try:
        data = read_bytes(path)
        content: dict[str, Any] = parse_json(data)
        parse_record(MetricsRecord, data)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; run `dvc pull` or `dvc repro`") from None
    except ValueError:
        raise DataError(f"{path}: is damaged, or of another version; run `dvc repro`") from None
    return content
