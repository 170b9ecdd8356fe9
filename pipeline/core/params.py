"""Reads ``params.yaml`` strictly, one section at a time; knows no section's schema.

Each room of the pipeline owns the settings model of its own section, so that a change to head
settings does not make extraction's code dependencies stale.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pipeline.core.errors import ParameterError
from pipeline.core.reading import read_bytes
from pipeline.core.spelling import closest
from pipeline.core.yaml_reading import MOST_BYTES, BadYamlError, YamlText

ROW_NAME = re.compile(r"[a-z][a-z0-9_]*")

_LONGEST_SHOWN = 60
"""Characters of a name or a value that an error shows."""


class Section(BaseModel):
    """Base of every settings model: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


SectionType = TypeVar("SectionType", bound=Section)


class ParamsFile:
    """A parsed ``params.yaml``: plain data, and the line that each key stands on.

    YAML 1.2 rules apply, as in DVC: ``1e-05`` is a number and ``no`` is text.

    Raises:
        ParameterError: the file is absent, is not YAML, or is not a mapping.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._parsed = YamlText(read_bytes(path, limit=MOST_BYTES))
        except FileNotFoundError:
            raise ParameterError(f"{path}: no such file; run from the project's root") from None
        except OSError as error:
            raise ParameterError(f"{path}: cannot be read: {error.strerror}") from None
        except BadYamlError as error:
            raise ParameterError(f"{path}:{error.line}: not valid YAML: {error.problem}") from None
        if not isinstance(self._parsed.data, dict):
            raise ParameterError(f"{path}: the file must be a mapping of sections")
        self.data: dict[str, Any] = self._parsed.data

    def table(self, name: str) -> dict[str, Any]:
        """The rows of one table, by name, unvalidated.

        Raises:
            ParameterError: the table is absent or not a mapping, or a row's name is not allowed.
        """
        rows = self.data.get(name)
        if not isinstance(rows, dict):
            raise self.error((name,), "must be a mapping of rows, at least an empty one: {}")
        for row in rows:
            if not ROW_NAME.fullmatch(row):
                raise self.error(
                    (name, row),
                    "a row's name is lower-case letters, digits and underscores, "
                    "and starts with a letter",
                )
        return rows

    def section(self, model: type[SectionType], *keys: str) -> SectionType:
        """Validates the section at ``keys`` (a path into the file) as ``model``.

        Raises:
            ParameterError: the section is absent or does not fit; one line, naming file, line
                and the path of the first wrong field.
        """
        value: Any = self.data
        for depth, key in enumerate(keys):
            if not isinstance(value, dict) or key not in value:
                raise self.error(keys[:depth], f"has no row {key!r}{_closest(key, value)}")
            value = value[key]
        if not isinstance(value, dict):
            raise self.error(keys, f"must be a mapping, not {_show(value)}")
        try:
            # Strict JSON rules are the wanted ones: lists become tuples, text stays text.
            return model.model_validate_json(json.dumps(value, default=str))
        except ValidationError as error:
            problems = error.errors(include_url=False)
            # A misspelt key is also a missing one; what the user wrote is the better place to look.
            first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
            location = (*keys, *(part for part in first["loc"]))
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise self.error(location, _explain(first, model) + more) from None

    def error(self, keys: tuple[Any, ...], problem: str) -> ParameterError:
        """An error that names this file, the line of ``keys`` and the path of the field."""
        field = ".".join(str(key)[:_LONGEST_SHOWN] for key in keys)
        place = f"{self.path}:{self._parsed.line(keys)}: " + (f"{field}: " if field else "")
        return ParameterError(" ".join((place + problem).splitlines()))


def _show(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _closest(key: str, known: Any) -> str:
    near = closest(key, known) if isinstance(known, dict) else None
    return f"; did you mean {near!r}?" if near else ""


def _explain(problem: ErrorDetails, model: type[BaseModel]) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = _fields(model, problem["loc"][:-1])
        return "unknown key" + (
            _closest(str(problem["loc"][-1]), dict.fromkeys(known))
            or (f"; known here: {', '.join(known)}" if known else "")
        )
    if kind == "missing":
        return "missing"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind == "value_error":
        return message
    return f"{message}, not {_show(problem['input'])}"


def _fields(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the model nested at ``location``."""
    current: Any = model
    for part in location:
        field = getattr(current, "model_fields", {}).get(part)
        current = field.annotation if field is not None else None
    return list(getattr(current, "model_fields", {}))
