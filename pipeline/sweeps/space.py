"""Search space: from a sweep's row to the settings of one trial, and back.

A trial has a value per path, as it would stand in ``params.yaml``. Optuna has a parameter per path:
the text of a choice, or a number. Numbers with a fraction are cut to four digits, so that they can
be read, and written into a file as they are.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.heads.settings import HeadSettings
from pipeline.sweeps.settings import Dimension

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Values = dict[str, Any]
"""Settings by path into a head's row."""

Space = Mapping[str, Dimension]

NOT_SEARCHED = (
    "corpus",
    "features",
    "label",
    "task",
    "training.metric",
    "training.seeds",
)
"""Settings that make scores of two trials incomparable, or let luck choose."""

_DIGITS = 4
_STEP_DIGITS = 12
_ROUNDING = 1e-9


def with_values(row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A head's row with other settings.

    Raises:
        KeyError: a path leads through something that the row does not have.
    """
    changed = copy.deepcopy(dict(row))
    for path, value in values.items():
        *parents, last = path.split(".")
        node: Any = changed
        for key in parents:
            if not isinstance(node, dict) or not isinstance(node.get(key), dict):
                raise KeyError(path)
            node = node[key]
        node[last] = value
    return changed


def without(row: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """A head's row without some settings."""
    rest = copy.deepcopy(dict(row))
    for path in paths:
        *parents, last = path.split(".")
        node: Any = rest
        for key in parents:
            node = node.get(key, {})
        node.pop(last, None)
    return rest


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """A setting of a head's row; ``None`` where it is not written."""
    node: Any = row
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def trial_settings(row: Mapping[str, Any], values: Mapping[str, Any]) -> HeadSettings:
    """The settings of a trial, read as ``params.yaml`` would be.

    Raises:
        ValueError: they do not fit; one line.
    """
    try:
        return HeadSettings.model_validate_json(json.dumps(with_values(row, values)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{place}: {message}" if place else message) from None


def options(dimension: Dimension) -> list[Any]:
    """All values of choices or subsets; the two ends of a range."""
    if dimension.choices is not None:
        return list(dimension.choices)
    if dimension.subsets is not None:
        sizes = dimension.sizes or range(1, len(dimension.subsets) + 1)
        return [
            list(chosen)
            for size in sorted(set(sizes))
            for chosen in itertools.combinations(dimension.subsets, size)
        ]
    return [dimension.low, dimension.high]


def pairs(space: Space) -> Iterator[Values]:
    """Every option of every path by itself, then every two options of two paths."""
    offered = {path: options(dimension) for path, dimension in space.items()}
    for path, some in offered.items():
        yield from ({path: value} for value in some)
    for first, second in itertools.combinations(offered, 2):
        for one, other in itertools.product(offered[first], offered[second]):
            yield {first: one, second: other}


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Distributions of Optuna, by path; settings that all trials share are not drawn."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    drawn: dict[str, BaseDistribution] = {}
    for path, dimension in space.items():
        if dimension.low is None or dimension.high is None:
            if len(options(dimension)) > 1:
                drawn[path] = CategoricalDistribution([_text(v) for v in options(dimension)])
            continue
        low, high, step = dimension.low, dimension.high, dimension.step
        if step is not None:  # which step it is: of fractions, Optuna's own sums are not exact
            steps = math.floor((high - low) / step + _ROUNDING)
            drawn[path] = IntDistribution(0, steps)
        elif dimension.whole:
            drawn[path] = IntDistribution(int(low), int(high), log=dimension.log)
        else:
            drawn[path] = FloatDistribution(float(low), float(high), log=dimension.log)
    return drawn


def decoded(space: Space, parameters: Mapping[str, Any]) -> Values:
    """The values of a trial from Optuna's parameters, in the order of the space."""
    values: Values = {}
    for path, dimension in space.items():
        if path not in parameters:
            values[path] = options(dimension)[0]
        elif dimension.low is None or dimension.high is None:
            values[path] = json.loads(parameters[path])
        else:
            values[path] = _number(dimension, parameters[path])
    return values


def encoded(space: Space, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Optuna's parameters from values; ``None`` where the space does not hold them.

    What all trials share has no parameter, and any value will do.
    """
    parameters: dict[str, Any] = {}
    drawn = distributions(space)
    for path, dimension in space.items():
        value = values[path]
        if path not in drawn:
            continue
        if not _holds(dimension, value):
            return None
        if dimension.low is None:
            parameters[path] = _text(value)
        elif dimension.step is not None:
            parameters[path] = round((value - dimension.low) / dimension.step)
        else:
            parameters[path] = int(value) if dimension.whole else float(value)
    return parameters


def _number(dimension: Dimension, parameter: float) -> float:
    """A number of a range as it is written into params.yaml."""
    if dimension.low is None or dimension.high is None:
        raise ValueError("not a range")
    if dimension.step is not None:
        value = dimension.low + parameter * dimension.step
        return int(value) if dimension.whole else float(f"{value:.{_STEP_DIGITS}g}")
    if dimension.whole:
        return int(parameter)
    short = float(f"{parameter:.{_DIGITS}g}")
    return min(max(short, float(dimension.low)), float(dimension.high))


def _holds(dimension: Dimension, value: Any) -> bool:
    if dimension.low is None or dimension.high is None:
        return _text(value) in map(_text, options(dimension))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not dimension.low <= value <= dimension.high:
        return False
    step = dimension.step or (1 if dimension.whole else None)
    steps = 0.0 if step is None else (value - dimension.low) / step
    return abs(steps - round(steps)) <= _ROUNDING


def _text(value: Any) -> str:
    return json.dumps(value)
