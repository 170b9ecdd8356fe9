"""Adds rows to ``params.yaml``, or changes values, and leaves every other character as it is."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, SequenceNode
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline.core.errors import ParameterError
from pipeline.core.files import write_text
from pipeline.core.params import ParamsFile
from pipeline.core.yaml_reading import BadYamlError, load_yaml

Row = Mapping[str, Any]
_PLAIN = re.compile(r"[A-Za-z0-9_./]([A-Za-z0-9_./ -]*[A-Za-z0-9_./-])?")
"""Text that is written without quotes, unless it reads as a number or the like."""


def add_rows(path: Path, tables: Mapping[str, Mapping[str, Row]]) -> None:
    """Adds rows at the end of tables.

    Args:
        path: the file of parameters.
        tables: by table and name, the rows.

    Raises:
        ParameterError: the file cannot be read, or has such a row.
    """
    before = ParamsFile(path)
    for table, rows in tables.items():
        for name in rows:
            if name in before.table(table):
                raise before.error((table, name), "there is such a row already; use another name")
    expected = {name: dict(section) for name, section in before.data.items()}
    for table, rows in tables.items():
        expected[table].update(_plain(rows))
    text = path.read_text(encoding="utf-8")
    try:
        for table, rows in tables.items():
            if rows:
                text = _with_rows(text, table, rows)
    except YAMLError:
        text = ""
    if not _reads_as(text, expected):  # a table in braces, or another layout of its own
        text = _rewritten(path, tables)
        if not _reads_as(text, expected):
            raise ParameterError(f"{path}: rows cannot be added to it; write them by hand")
    write_text(path, text)


def set_values(path: Path, row: Sequence[str], values: Mapping[str, Any]) -> None:
    """Changes values of a row; comments, order and layout stay.

    Args:
        path: the file of parameters.
        row: the keys that lead to the row.
        values: by path into the row, its keys joined by dots.

    Raises:
        ParameterError: the file cannot be read, or has no such row, or the row has such a value
            from another one, by an anchor.
    """
    before = ParamsFile(path)
    expected = _plain(before.data)  # what an anchor shares is told apart in it
    changes = {(*row, *name.split(".")): value for name, value in values.items()}
    for keys, value in changes.items():
        node = expected
        for depth, key in enumerate(keys[:-1], 1):
            if not isinstance(node.get(key), dict):
                raise before.error(keys[:depth], "there is no such row to change")
            node = node[key]
        node[keys[-1]] = _plain(value)
    text = path.read_text(encoding="utf-8")
    for keys, value in changes.items():
        text = _with_value(text, keys, value)
    if not _reads_as(text, expected):  # a key that was not there, or a layout of its own
        text = _reset(path, changes)
        if not _reads_as(text, expected):
            raise before.error(
                tuple(row),
                "shares values with another row through an anchor (&, *); write them out first",
            )
    write_text(path, text)


def _with_value(text: str, keys: Sequence[str], value: Any) -> str:
    """The text with one value changed or added; as it is where its layout is not a simple one."""
    node: Node | None = YAML().compose(text)
    for key in keys[:-1]:
        node = _held(node, key)
    if not isinstance(node, MappingNode) or not node.value:
        return text
    old = _held(node, keys[-1])
    if old is None and node.flow_style:
        end = node.value[-1][1].end_mark.index
        return f"{text[:end]}, {keys[-1]}: {inline(value)}{text[end:]}"
    if old is None:
        lines = text.splitlines(keepends=True)
        indent = " " * node.value[0][0].start_mark.column
        end = _last_line(node)
        line = f"{indent}{keys[-1]}: {inline(value)}\n"
        return "".join([*lines[:end], line, *lines[end:]])
    begin, end = old.start_mark.index, old.end_mark.index
    if isinstance(old, CollectionNode) and not old.flow_style:  # a list on lines of its own
        key = next(name for name, _ in node.value if name.value == keys[-1])
        begin = key.end_mark.index + 1
        end = len("".join(text.splitlines(keepends=True)[: _last_line(old)]).rstrip())
        if "#" in text[begin:end]:
            return text
        return f"{text[:begin]} {inline(value)}{text[end:]}"
    return text[:begin] + inline(value) + text[end:] if begin < end else text


def _held(node: Node | None, key: str) -> Node | None:
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((held for name, held in pairs if name.value == key), None)


def inline(value: Any) -> str:
    """A value as it stands behind its key, in one line."""
    dump = io.StringIO()
    row = CommentedMap({"key": _styled(value, 3)})
    row.fa.set_flow_style()
    _writer().dump(row, dump)
    return dump.getvalue().strip().removeprefix("{key: ").removesuffix("}")


def _reads_as(text: str, expected: Any) -> bool:
    try:
        return bool(load_yaml(text) == expected)
    except BadYamlError:
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _with_rows(text: str, table: str, rows: Mapping[str, Row]) -> str:
    """The text with rows below the last line of a table; comments after it stay after."""
    root = YAML().compose(text)
    lines = text.splitlines(keepends=True)
    for key, value in root.value if isinstance(root, MappingNode) else ():
        if key.value != table or not isinstance(value, MappingNode):
            continue
        if not value.value:  # {}
            line = key.start_mark.line
            lines[line] = lines[line].replace("{}", "", 1).rstrip() + "\n"
            return "".join([*lines[: line + 1], _block(rows, 2), *lines[line + 1 :]])
        indent = value.value[0][0].start_mark.column
        end = _last_line(value)
        if not lines[end - 1].endswith("\n"):
            lines[end - 1] += "\n"
        return "".join([*lines[:end], _block(rows, indent), *lines[end:]])
    raise ParameterError(f"{table}: must be a mapping of rows, at least an empty one: {{}}")


def _last_line(node: Node) -> int:
    """The number of lines up to the end of what a node holds, comments after it left out."""
    if not isinstance(node, MappingNode | SequenceNode) or node.flow_style or not node.value:
        return int(node.end_mark.line) + (1 if node.end_mark.column else 0)
    last = node.value[-1]
    return max(map(_last_line, last)) if isinstance(last, tuple) else _last_line(last)


def _block(rows: Mapping[str, Row], indent: int) -> str:
    dump = io.StringIO()
    _writer().dump(_styled(rows), dump)
    return "".join(" " * indent + line for line in dump.getvalue().splitlines(keepends=True))


def _writer() -> YAML:
    yaml = YAML(typ="rt")
    yaml.width = 1 << 20
    yaml.preserve_quotes = True
    yaml.representer.add_representer(
        type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _styled(value: Any, depth: int = 0) -> Any:
    """Rows and their fields on lines of their own, except what is in a field of a row."""
    if isinstance(value, Mapping):
        mapping = CommentedMap(
            {_styled(key): _styled(item, depth + 1) for key, item in value.items()}
        )
        short = depth > 2 or not any(isinstance(item, Mapping) for item in value.values())
        if depth >= 2 and short and len(str(value)) < 90:
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list | tuple):
        sequence = CommentedSeq(_styled(item, depth + 1) for item in value)
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return DoubleQuotedScalarString(value)
    return value


def _rewritten(path: Path, tables: Mapping[str, Mapping[str, Row]]) -> str:
    yaml = _writer()
    tree = yaml.load(path.read_text(encoding="utf-8"))
    for table, rows in tables.items():
        tree[table].update(_styled(rows))
    dump = io.StringIO()
    yaml.dump(tree, dump)
    return dump.getvalue()


def _reset(path: Path, changes: Mapping[tuple[str, ...], Any]) -> str:
    yaml = _writer()
    tree = yaml.load(path.read_text(encoding="utf-8"))
    for keys, value in changes.items():
        node = tree
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = _styled(value, 3)
    dump = io.StringIO()
    yaml.dump(tree, dump)
    return dump.getvalue()
