"""Settings of splits: the ``split`` of a row of ``corpora``."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Section

SPLITS = ("train", "dev", "test")
SplitName = Literal["train", "dev", "test"]


class SplitSettings(Section):
    """One of four ways.

    ``{train: 0.8, dev: 0.1, test: 0.1}``  drawn: shares of the rows, which add up to 1.
    ``{folds: 5}``                         drawn: k folds of equal size, ``fold_1`` to ``fold_5``.
    ``{column: part, names: {...}}``       given by a field of each row; ``names`` says which of its
                                           values are which split, where they are not the names.
    ``{files: {train: a, test: b}}``       given by separate files (or folders) below ``path``.

    Where splits are given and none is ``dev``, ``dev: 0.1`` draws that share of the training rows.
    """

    train: float | None = Field(default=None, gt=0, lt=1)
    dev: float | None = Field(default=None, gt=0, lt=1)
    test: float | None = Field(default=None, gt=0, lt=1)
    folds: int | None = Field(default=None, ge=2, le=100)
    column: str | None = Field(default=None, min_length=1)
    names: dict[str, SplitName] | None = Field(default=None, min_length=1)
    files: dict[SplitName, str] | None = Field(default=None, min_length=1)

    @property
    def given(self) -> bool:
        """Whether the data says which row is in which split."""
        return self.column is not None or self.files is not None

    @property
    def drawn(self) -> bool:
        """Whether a seed decides about any row."""
        return not self.given or self.dev is not None

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that rows are in."""
        if self.folds is not None:
            return tuple(f"fold_{number + 1}" for number in range(self.folds))
        return SPLITS

    def fractions(self) -> dict[str, float]:
        """The share of each split among the rows that are drawn, in order."""
        if self.folds is not None:
            return dict.fromkeys(self.split_names, 1 / self.folds)
        if self.given:
            dev = self.dev or 0.0
            return {"train": 1 - dev, "dev": dev}
        return {"train": self.train or 0, "dev": self.dev or 0, "test": self.test or 0}

    def given_name(self, value: str) -> str | None:
        """The split that a value of the column stands for; ``None`` for none."""
        if self.names is not None:
            return self.names.get(value)
        return value if value in SPLITS else None

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        ways = [way for way in ("folds", "column", "files") if getattr(self, way) is not None]
        if len(ways) > 1:
            raise ValueError(f"splits come from one of folds, column and files, not {ways}")
        if not ways:
            self._check_fractions()
        elif self.train is not None or self.test is not None:
            raise ValueError(f"'train' and 'test' are shares; they do not go with {ways[0]!r}")
        elif self.folds is not None and self.dev is not None:
            raise ValueError("'dev' does not go with 'folds'")
        if self.names is not None and self.column is None:
            raise ValueError("'names' says what the values of 'column' mean; there is no 'column'")
        if self.files is not None:
            self._check_files(self.files)
        named = (*(self.files or ()), *(self.names or {}).values())
        if self.dev is not None and "dev" in named:
            raise ValueError("dev is given already: remove the share 'dev', or the given one")
        return self

    def _check_fractions(self) -> None:
        if self.train is None or self.dev is None or self.test is None:
            raise ValueError(
                "must have the shares train, dev and test, or one of folds, column and files"
            )
        total = self.train + self.dev + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train, dev and test must add up to 1, not {total:.9g}")

    @staticmethod
    def _check_files(files: dict[SplitName, str]) -> None:
        for name, file in files.items():
            path = PurePosixPath(file)
            if not file or path.is_absolute() or ".." in path.parts:
                raise ValueError(f"the file of {name} must be a path below 'path', not {file!r}")
        if len(set(files.values())) != len(files):
            raise ValueError("'files' names a file twice")
