"""Values of fields: what JSON or a cell of text holds, as an id, a text, words, or a label.

Each function returns the value, or raises ``WrongValueError`` that says what it must be.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

from pipeline.corpus.storage import LARGEST_NUMBER
from pipeline.ingest.problems import show

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SPACES = re.compile(r"[ \t\r\n]+")
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_STRINGS = re.compile(rf"\[{_QUOTED}(?:[\s,]+{_QUOTED})*,?\]", re.DOTALL)
_ITEM = re.compile(_QUOTED, re.DOTALL)
_NUMBERS = re.compile(r"\[\s*\d+(?:[\s,]+\d+)*\s*\]")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


class WrongValueError(Exception):
    """Error of a value: what it must be, and what to do about it."""

    def __init__(self, must: str, value: Any, advice: str | None = None) -> None:
        super().__init__(f"must be {must}, not {show(value)}")
        self.advice = advice


def name_of(value: Any, what: str) -> str:
    """An id, a class, a split or a group: a string that is not empty, or a whole number."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, str) and value):
        return str(value)
    if value in (None, ""):
        raise WrongValueError(what, value, "give the row one, or remove the row")
    raise WrongValueError(f"{what}: a string or a whole number", value)


def class_of(value: Any, what: str = "a class") -> str:
    """A class, or another name that rows share: as ``name_of``, without the space around it."""
    return name_of(value.strip() if isinstance(value, str) else value, what)


def text_of(value: Any) -> str:
    """Raw text; it may be empty."""
    if not isinstance(value, str):
        raise WrongValueError("a string of text", value)
    return value


def strings_of(value: Any, *, cells: bool) -> tuple[str, ...]:
    """Words or tags: a list of strings; in a cell, what spaces, tabs and ends of lines separate.

    Other white space, such as U+00A0, is part of a word. A cell that spells a list of strings, as
    Python, JSON or numpy write it, is that list.
    """
    if cells and isinstance(value, str):
        if (items := spelled_list(value)) is not None:
            return items
        return tuple(word for word in _SPACES.split(value) if word)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    advice = "split the words, or read raw text with 'text'" if isinstance(value, str) else None
    raise WrongValueError("a list of strings", value, advice)


def tags_of(value: Any, *, cells: bool) -> tuple[str, ...]:
    """Tags of words: as ``strings_of``, without the space around them; numbers may be tags too."""
    if cells and isinstance(value, str) and _NUMBERS.fullmatch(value.strip()):
        return tuple(re.findall(r"\d+", value))
    return tuple(tag.strip() for tag in strings_of(value, cells=cells))


def spelled_list(cell: str) -> tuple[str, ...] | None:
    """The strings of a list that a cell spells, with commas or (numpy) without; else ``None``.

    Raises:
        WrongValueError: it looks like one, and cannot be read.
    """
    text = cell.strip()
    if not text.startswith(("['", '["', "array([")):
        return None
    if _STRINGS.fullmatch(text):
        try:
            return tuple(ast.literal_eval(item) for item in _ITEM.findall(text))
        except (SyntaxError, ValueError):
            pass
    elif not text.endswith(("']", '"]', "',]", '",]', ")")):
        return None
    raise WrongValueError(
        "a list of strings that can be read",
        cell,
        "write words with spaces between them, or the list as JSON in a JSONL file",
    )


def classes_of(value: Any, separator: str | None) -> tuple[str, ...]:
    """Classes, sorted and without doubles; in a cell, what ``separator`` separates."""
    if isinstance(value, str) and separator is not None:
        value = spelled_list(value) or value
    if isinstance(value, str) and separator is not None:
        value = [name.strip() for name in value.split(separator)] if value.strip() else []
    if not isinstance(value, list | tuple):
        raise WrongValueError("a list of classes", value, "one class alone is a list of one")
    names = {class_of(item) for item in value}
    return tuple(sorted(names))


def number_of(value: Any, *, cells: bool) -> float:
    """A number that is finite in float32, in which heads learn it."""
    if cells and isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _finite(float(text), value)
        comma = "write a decimal point" if _DECIMAL_COMMA.fullmatch(text) else None
        raise WrongValueError("a number", value, comma or "give the row one, or remove the row")
    if isinstance(value, bool) or not isinstance(value, int | float):
        quoted = isinstance(value, str) and _NUMBER.fullmatch(value)
        raise WrongValueError("a number", value, "remove the quotes" if quoted else None)
    try:
        return _finite(float(value), value)
    except OverflowError:
        return _finite(math.inf, value)


def _finite(number: float, value: Any) -> float:
    if not math.isfinite(number):
        raise WrongValueError("a finite number", value, "give the row one, or remove the row")
    if abs(number) > LARGEST_NUMBER:
        raise WrongValueError(f"a number of up to {LARGEST_NUMBER:g}", value, "scale the numbers")
    return number
