"""Reading of YAML that somebody else may have made: plain data, of bounded size and depth.

A parser that recurses ends the process on deep nesting, and a few lines of aliases or merge keys
stand for more data than a machine holds. So values are built here from the parser's events, one
after the other, and what they stand for is counted.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError

MOST_BYTES = 1 << 24
"""Bytes of a file of YAML: thousands of rows, or of stages in a lock."""

DEEPEST = 50
"""Levels of nesting; ``params.yaml`` has eight."""

_MOST = 1 << 24
"""What all values may weigh, aliases followed: a character one, and a value ``_WEIGHT`` more."""

_WEIGHT = 16

_LONGEST_NUMBER = 1000
"""Characters of a number or a date; more digits take time that grows with their square."""

_SHORT = 64

_TAG = "tag:yaml.org,2002:"
_COLLECTIONS: dict[type, str] = {MappingStartEvent: _TAG + "map", SequenceStartEvent: _TAG + "seq"}
_SCALARS = frozenset({"null", "bool", "int", "float", "str", "timestamp"})


class BadYamlError(ValueError):
    """A text that is not YAML as it is read here.

    Attributes:
        problem: what is wrong.
        line: where, from 1.
    """

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(f"line {line}: {problem}")
        self.problem = problem
        self.line = line


class YamlText:
    """A parsed text.

    YAML 1.2 rules apply, as in DVC: ``1e-05`` is a number and ``no`` is text. Keys are text.

    Attributes:
        data: dictionaries, lists, text, numbers, booleans, dates and ``None``; what an alias
            stands for is one object wherever it is used.

    Raises:
        BadYamlError: it is not YAML, is too large or too deep, or has tags of more than plain data.
    """

    def __init__(self, text: str | bytes) -> None:
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        if len(raw) > MOST_BYTES:
            raise BadYamlError(f"more than {MOST_BYTES >> 20} MiB", 1)
        build = _Builder()
        try:
            for event in YAML(typ="safe").parse(raw.decode("utf-8")):  # in C, with ruamel.yaml.clib
                build(event)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            last = raw.rstrip().count(b"\n")  # what has no end is found to have none behind it
            line = min(mark.line, last) + 1 if mark else 1
            raise BadYamlError(error.problem or "not YAML", line) from None
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise BadYamlError(f"not UTF-8 at byte {error.start}", line) from None
        except ReaderError as error:
            line = raw.count(b"\n", 0, error.position) + 1
            raise BadYamlError(f"unacceptable character: {error.reason}", line) from None
        except YAMLError as error:
            raise BadYamlError(str(error).splitlines()[0], 1) from None
        self.data: Any = build.document[0] if build.document else None
        self._lines = build.lines

    def line(self, keys: tuple[Any, ...]) -> int:
        """The line of the value that keys lead to, or of the last of them that there is."""
        node, line = self.data, 1
        for key in keys:
            try:
                line, node = self._lines[id(node)][key], node[key]
            except (KeyError, IndexError, TypeError):
                break
        return line


def load_yaml(text: str | bytes) -> Any:
    """The data of a text; see ``YamlText``.

    Raises:
        BadYamlError: as ``YamlText``.
    """
    return YamlText(text).data


class _Open:
    """A collection that has not ended.

    Attributes:
        value: what there is of it.
        lines: the line of each item, or by key.
        anchor: the name that aliases call it by.
        before: the weight of all that came before it.
        key: of a mapping, the key whose value comes next.
        merged: of a mapping, the value of its merge key.
    """

    __slots__ = ("anchor", "before", "key", "lines", "merged", "value")

    def __init__(self, value: Any, lines: Any, anchor: str | None, before: int) -> None:
        self.value = value
        self.lines = lines
        self.anchor = anchor
        self.before = before
        self.key: Any = _NONE_YET
        self.merged: Any = _NONE_YET


_NONE_YET = object()
_MERGE_KEY = object()
"""What ``<<`` is where it is not quoted."""


class _Builder:
    """Builds the value of one document, event by event.

    Attributes:
        document: the value, in a list; empty where there is none.
        lines: lines of items of each list, and by key of each dictionary, by its ``id``.
    """

    def __init__(self) -> None:
        self.document: list[Any] = []
        self.lines: dict[int, Any] = {}
        self._open = [_Open(self.document, [], None, 0)]
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._weight = 0

    def __call__(self, event: Any) -> None:
        """Takes in the next event.

        Raises:
            BadYamlError: it is one of what is not allowed.
        """
        kind = type(event)
        if kind is ScalarEvent:
            weight = _WEIGHT + len(event.value)
            self._add(weight, event)
            value = _scalar(event)
            self._put(value, event)
            self._name(event.anchor, value, weight, event)
        elif kind in _COLLECTIONS:
            self._begin(event, kind)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            self._end(event)
        elif kind is AliasEvent:
            if event.anchor not in self._anchors:
                raise _bad(event, f"found undefined alias {event.anchor[:60]!r}")
            value, weight = self._anchors[event.anchor]
            self._add(weight, event)
            self._put(value, event)
        elif kind is DocumentStartEvent and self.document:
            raise _bad(event, "expected a single document, but found another")

    def _add(self, weight: int, event: Any) -> None:
        self._weight += weight
        if self._weight > _MOST:
            raise _bad(event, "too much data, or aliases that stand for too much")

    def _begin(self, event: Any, kind: type) -> None:
        if len(self._open) > DEEPEST:
            raise _bad(event, f"nested more than {DEEPEST} deep")
        if event.tag not in (None, "!", _COLLECTIONS[kind]):
            raise _bad(event, f"the tag {event.tag[:60]!r} is not one of plain data")
        before = self._weight
        self._add(_WEIGHT, event)
        value: Any = {} if kind is MappingStartEvent else []
        lines: Any = {} if kind is MappingStartEvent else []
        self._put(value, event)
        self.lines[id(value)] = lines
        self._open.append(_Open(value, lines, event.anchor, before))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        if done.merged is not _NONE_YET:
            self._merge(done, event)
        self._name(done.anchor, done.value, self._weight - done.before, event)

    def _name(self, anchor: str | None, value: Any, weight: int, event: Any) -> None:
        if anchor is None:
            return
        if anchor in self._anchors:
            raise _bad(event, f"found duplicate anchor {anchor[:60]!r}")
        self._anchors[anchor] = value, weight

    def _merge(self, done: _Open, event: Any) -> None:
        """Puts what a merge key brings before what the mapping has itself, which goes first."""
        others = done.merged if type(done.merged) is list else [done.merged]
        own, own_lines = dict(done.value), dict(done.lines)
        done.value.clear()
        for other in reversed(others):
            if type(other) is not dict:
                raise _bad(event, "a merge key (<<) takes a mapping, or a list of mappings")
            done.value.update(other)
            done.lines.update(self.lines[id(other)])
        done.value.update(own)
        done.lines.update(own_lines)

    def _put(self, value: Any, event: Any) -> None:
        """Puts a value where it belongs: into a list, as a key, or behind one."""
        top = self._open[-1]
        if type(top.value) is dict and top.key is _NONE_YET:
            self._put_key(top, value, event)
            return
        if value is _MERGE_KEY:
            raise _bad(event, "'<<' is a key, and no value; put it in quotes")
        if type(top.value) is list:
            top.lines.append(event.start_mark.line + 1)
            top.value.append(value)
            return
        if top.key is _MERGE_KEY:
            top.merged = value
        else:
            top.value[top.key] = value
        top.key = _NONE_YET

    def _put_key(self, top: _Open, key: Any, event: Any) -> None:
        if key is _MERGE_KEY:
            if top.merged is not _NONE_YET:
                raise _bad(event, "found duplicate key '<<'")
        elif type(key) is not str:
            raise _bad(event, "a key must be text; put it in quotes")
        elif key in top.lines:
            raise _bad(event, f"found duplicate key {key[:60]!r}")
        else:
            top.lines[key] = event.start_mark.line + 1
        top.key = key


def _scalar(event: Any) -> Any:
    tag, value = event.tag, event.value
    try:
        if tag not in (None, "!"):
            return _constructed(tag, value)
        if not event.implicit[0]:  # in quotes
            return value
        return _short_plain(value) if len(value) <= _SHORT else _plain(value)
    except ValueError as error:
        raise _bad(event, str(error)) from None


def _plain(value: str) -> Any:
    """A scalar without quotes and without a tag: what it looks like."""
    tag = str(_parts()[0].resolve(ScalarNode, value, (True, False)))
    if tag == _TAG + "merge":
        return _MERGE_KEY
    return value if tag in (_TAG + "str", _TAG + "value") else _constructed(tag, value)


_short_plain = lru_cache(4096)(_plain)


def _constructed(tag: str, value: str) -> Any:
    kind = tag.removeprefix(_TAG)
    if kind not in _SCALARS or kind == tag:
        raise ValueError(f"the tag {tag[:60]!r} is not one of plain data")
    if kind != "str" and len(value) > _LONGEST_NUMBER:
        raise ValueError(f"{kind} of more than {_LONGEST_NUMBER} characters: {value[:20]}...")
    constructor = _parts()[1]
    try:
        return constructor.yaml_constructors[tag](constructor, ScalarNode(tag, value))
    except (YAMLError, ValueError, LookupError, TypeError, OverflowError):
        # It has no type of error of its own: "!!int ''" is an IndexError.
        raise ValueError(f"{value[:60]!r} is no {kind}") from None


@cache
def _parts() -> tuple[Any, Any]:
    """What says which type a plain scalar has, and what makes it."""
    yaml = YAML(typ="safe")
    return yaml.resolver, yaml.constructor


def _bad(event: Any, problem: str) -> BadYamlError:
    return BadYamlError(problem, event.start_mark.line + 1)
