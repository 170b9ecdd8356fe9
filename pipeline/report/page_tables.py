"""Tables as the page draws them: every cell has its text and what it is sorted by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MINUS = "−"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what is read.
        note: what stands beside it in small: an interval, a share.
        sort: what a column is sorted by; numbers before texts, and ``None`` last.
    """

    text: str
    note: str = ""
    sort: float | str | None = None


@dataclass(frozen=True)
class Column:
    """One column; ``number`` sets it to the right."""

    title: str
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose columns sort; the first cell of a row names it."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def text_cell(text: str, note: str = "") -> Cell:
    """A cell of words."""
    return Cell(text, note, text.casefold())


def count_cell(count: int, note: str = "") -> Cell:
    """A cell of a count, thousands apart."""
    return Cell(f"{count:,}".replace(",", "\u202f"), note, count)


def score_cell(value: float | None, note: str = "", *, signed: bool = False) -> Cell:
    """A cell of a score; a dash where it is undefined."""
    return Cell(number(value, signed=signed), note, value)


def interval_cell(scores: Mapping[str, Any], name: str, *, signed: bool = False) -> Cell:
    """A score with its interval, as ``metrics.json`` has them."""
    low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
    known = low is not None and high is not None
    ends = f"{number(low, signed=signed)} to {number(high, signed=signed)}" if known else ""
    return score_cell(scores[name], ends, signed=signed)


def value_cell(value: object) -> Cell:
    """A cell of whatever JSON or CSV holds: a whole number, a number, or words."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, bool):
        return text_cell("yes" if value else "no")
    if isinstance(value, int):
        return count_cell(value)
    if isinstance(value, float):
        small = value != 0 and abs(value) < 0.01
        return Cell(f"{value:.3g}" if small else number(value), sort=value)
    return Cell("–") if value is None else text_cell(str(value))


def number(value: float | None, *, signed: bool = False) -> str:
    """Three decimals, with the minus that typesetters use; a dash for what is undefined."""
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''}.3f}".replace("-", MINUS)


def flat(tree: Mapping[str, Any], *, skip: Iterable[str] = ()) -> dict[str, Any]:
    """The leaves of nested mappings, by their path in words."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = key if "." in key else key.replace("_", " ")  # but not in the name of a file
        if key in skip:
            continue
        if isinstance(value, Mapping):
            found |= {f"{name}: {below}": leaf for below, leaf in flat(value).items()}
        else:
            found[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return found


def _parsed(text: str) -> str | int | float | None:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        # "nan" and "inf" parse as numbers; nothing can be sorted by them.
        return value if abs(value) <= 1e300 else text
    return text or None
