"""Reads ``params.yaml`` strictly, one section at a time; knows no section's schema.

Each room of the pipeline owns the settings model of its own section, so that a change to head
settings does not make extraction's code dependencies stale.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from pipeline.core.errors import ParameterError

ROW_NAME = re.compile(r"[a-z][a-z0-9_]*")


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
        self._text = self._read()
        try:
            parsed: Any = YAML(typ="safe").load(self._text)  # in C, with ruamel.yaml.clib
        except (YAMLError, ValueError):
            parsed = self._tree  # which says what is wrong, and where
        if not isinstance(parsed, dict):
            raise ParameterError(f"{path}: the file must be a mapping of sections")
        self.data: dict[str, Any] = self._plain(parsed, ())

    def _read(self) -> str:
        path = self.path
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ParameterError(f"{path}: no such file; run from the project's root") from None
        except OSError as error:
            raise ParameterError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ParameterError(f"{path}: not UTF-8 at byte {error.start}") from None

    @cached_property
    def _tree(self) -> Any:
        """The file with the line of every key: slow to parse, and only errors need it."""
        path = self.path
        try:
            return YAML(typ="rt").load(self._text)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ParameterError(f"{path}:{line}: not valid YAML: {error.problem}") from None
        except (YAMLError, ValueError) as error:
            raise ParameterError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None

    def table(self, name: str) -> dict[str, Any]:
        """The rows of one table, by name, unvalidated.

        Raises:
            ParameterError: the table is absent or not a mapping, or a row's name is not allowed.
        """
        rows = self.data.get(name)
        if not isinstance(rows, dict):
            raise self.error((name,), "must be a mapping of rows, at least an empty one: {}")
        for row in rows:
            if not isinstance(row, str) or not ROW_NAME.fullmatch(row):
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
        field = ".".join(str(key) for key in keys)
        place = f"{self.path}:{self._line(keys)}: " + (f"{field}: " if field else "")
        return ParameterError(" ".join((place + problem).splitlines()))

    def _plain(self, node: Any, keys: tuple[Any, ...]) -> Any:
        """The parsed tree as plain dictionaries, lists and scalars."""
        if isinstance(node, Mapping):
            for key in node:
                if not isinstance(key, str):
                    raise self.error((*keys, key), "a key must be text; put it in quotes")
            return {str(key): self._plain(value, (*keys, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [self._plain(value, (*keys, index)) for index, value in enumerate(node)]
        if isinstance(node, ScalarBoolean):  # a boolean with an anchor; a subclass of int
            return bool(node)
        for scalar in (bool, int, float, str):
            if isinstance(node, scalar):
                return scalar(node)
        return node

    def _line(self, keys: tuple[Any, ...]) -> int:
        node: Any = self._tree
        line = 0
        for key in keys:
            try:
                if isinstance(node, CommentedMap):
                    line = node.lc.key(key)[0]
                elif isinstance(node, CommentedSeq):
                    line = node.lc.item(key)[0]
                node = node[key]
            except (KeyError, IndexError, TypeError):
                break
        return line + 1


def _show(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _closest(key: str, known: Any) -> str:
    names = [str(name) for name in known] if isinstance(known, dict) else []
    near = difflib.get_close_matches(key, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


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
