"""The settings of one row of ``sweeps`` in ``params.yaml``."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.params import Section


class Dimension(Section):
    """Dimension of the search space: values of one setting of a head, in one of three kinds.

    Attributes:
        choices: these values; a single one is a setting that all trials share.
        low: smallest number; whole numbers where both ends are.
        high: largest number.
        log: whether the number is drawn evenly by its logarithm.
        step: distance of neighbouring numbers from ``low`` on.
        subsets: layers of which some are chosen, in this order.
        sizes: how many of ``subsets``; by default any number but none.
    """

    choices: tuple[Any, ...] | None = Field(default=None, min_length=1)
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)
    subsets: tuple[int, ...] | None = Field(default=None, min_length=1)
    sizes: tuple[int, ...] | None = Field(default=None, min_length=1)

    @property
    def whole(self) -> bool:
        """Whether a range is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        ends = (self.low is not None, self.high is not None)
        kinds = [self.choices is not None, any(ends), self.subsets is not None]
        if kinds.count(True) != 1 or ends[0] != ends[1]:
            raise ValueError("give either 'choices', or 'low' and 'high', or 'subsets'")
        if not any(ends) and (self.log or self.step is not None):
            raise ValueError("'log' and 'step' are for 'low' and 'high'")
        if self.subsets is None and self.sizes is not None:
            raise ValueError("'sizes' is for 'subsets'")
        return self

    @model_validator(mode="after")
    def _range_can_be_drawn_from(self) -> Self:
        if self.low is None or self.high is None:
            return self
        if not self.low < self.high:
            raise ValueError("'low' must be less than 'high'")
        if self.log and self.low <= 0:
            raise ValueError("'low' must be above 0 where 'log' is true")
        if self.log and self.step is not None:
            raise ValueError("'step' must be null where 'log' is true")
        if self.whole and isinstance(self.step, float):
            raise ValueError("'step' of whole numbers is a whole number")
        return self

    @model_validator(mode="after")
    def _subsets_exist(self) -> Self:
        if self.subsets is None:
            return self
        if len(set(self.subsets)) != len(self.subsets):
            raise ValueError("'subsets' names a layer twice")
        for size in self.sizes or ():
            if not 1 <= size <= len(self.subsets):
                raise ValueError(f"'sizes' are from 1 to {len(self.subsets)}, not {size}")
        return self


class PrunerSettings(Section):
    """When a trial is given up before its last epoch.

    Attributes:
        kind: ``median``: its best dev score so far is below the median of what earlier trials had
            at that epoch; ``halving``: it is not among the best 1 / ``factor`` there, at epochs
            ``first_epoch``, ``first_epoch * factor`` and so on (Jamieson and Talwalkar 2016, as
            Li et al. 2018 do it without waiting).
        startup_trials: for ``median``, trials that run to their end before any is given up.
        warmup_epochs: for ``median``, epochs that every trial is trained for.
        first_epoch: for ``halving``.
        factor: for ``halving``.
    """

    kind: Literal["median", "halving"]
    startup_trials: int | None = Field(default=None, ge=1)
    warmup_epochs: int | None = Field(default=None, ge=1)
    first_epoch: int | None = Field(default=None, ge=1)
    factor: int | None = Field(default=None, ge=2)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        own = {
            "median": ("startup_trials", "warmup_epochs"),
            "halving": ("first_epoch", "factor"),
        }
        for kind, names in own.items():
            for name in names:
                if (getattr(self, name) is not None) != (kind == self.kind):
                    needs = "needs" if kind == self.kind else "has no"
                    raise ValueError(f"pruner {self.kind} {needs} {name!r}")
        return self


class SweepSettings(Section):
    """A search for settings of one head.

    Its direction is that of the head's ``training.metric``.

    Attributes:
        head: the row of ``heads`` that is searched around; what ``space`` does not name is its own.
        trials: how many.
        seed: of what is tried; the seeds of training are the head's.
        sampler: ``tpe`` (Bergstra et al. 2011) learns from earlier trials, ``random`` does not.
        pruner: gives up trials; null for none.
        space: by path into the head's row, what it may be.
    """

    head: str
    trials: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**31)
    sampler: Literal["tpe", "random"]
    pruner: PrunerSettings | None
    space: dict[str, Dimension] = Field(min_length=1)
