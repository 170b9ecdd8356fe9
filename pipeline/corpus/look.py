"""Looks at the beginning of a raw file: its format, and values of its fields."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.corpus.conllu import COLUMNS
from pipeline.corpus.folders import SUFFIXES
from pipeline.corpus.lines import numbered_lines
from pipeline.corpus.problems import Problems
from pipeline.corpus.settings import FormatName
from pipeline.corpus.sources import Source
from pipeline.corpus.split_settings import SplitName
from pipeline.errors import DataError

ROWS = 500
"""Rows that are looked at."""

_SUFFIXES: dict[str, FormatName] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".conllu": "conllu",
    ".parquet": "parquet",
}
_DELIMITERS = ",\t;|"
_SPLIT_WORDS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class Look:
    """What the beginning of a file shows.

    Attributes:
        format: its format.
        settings: what else ``corpora`` must say to read it: ``columns``, ``delimiter``, ...
        values: by field, the values of the first rows.
        files: the file or folder of each split, below the path, where those are separate.
    """

    format: FormatName
    settings: dict[str, Any]
    values: dict[str, list[Any]]
    files: dict[SplitName, str] = field(default_factory=dict)


def look(path: Path, *, format_name: FormatName | None = None) -> Look:
    """Looks at a file, or at a folder with a file (or folder) per split or per class.

    Args:
        path: what to look at.
        format_name: its format, where the user says so.

    Raises:
        DataError: it is absent, or shows no rows.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = _files_of_splits(path) if path.is_dir() else {}
    first = path / files["train"] if "train" in files else path
    if first.is_dir():
        chosen, settings, values = _look_at_folder(first)
    else:
        encoding = _encoding(first)
        chosen = format_name or _format(first, encoding)
        settings, values = _look_at_file(first, chosen, encoding)
        if encoding is not None:
            settings["encoding"] = encoding
    if not values or not any(values.values()):
        raise DataError(f"{first}: shows no rows of format {chosen}; name another with --format")
    return Look(chosen, settings, values, files)


def split_called(value: str) -> SplitName | None:
    """The split that is called so, in the words that are usual."""
    return _SPLIT_WORDS.get(value.lower())


def split_named(name: str) -> SplitName | None:
    """The split that the name of a file speaks of."""
    word = ""
    for character in [*name.lower(), " "]:
        if character.isalpha():
            word += character
            continue
        if word in _SPLIT_WORDS:
            return _SPLIT_WORDS[word]
        word = ""
    return next((_SPLIT_WORDS[w] for w in ("train", "valid", "test") if w in name.lower()), None)


def _files_of_splits(folder: Path) -> dict[SplitName, str]:
    """The entries of a folder that are named after splits, one each; none without a train."""
    found: dict[SplitName, str] = {}
    for path in sorted(folder.iterdir()):
        split = None if path.name.startswith(".") else split_named(path.name)
        if split is not None and split not in found:
            found[split] = path.name
    order: tuple[SplitName, ...] = ("train", "dev", "test")
    return {name: found[name] for name in order if name in found} if "train" in found else {}


def _look_at_folder(folder: Path) -> tuple[FormatName, dict[str, Any], dict[str, list[Any]]]:
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    if entries and all(path.is_file() for path in entries):
        values = {path.name: [line for _, line in islice(_lines(path), ROWS)] for path in entries}
        lengths = {len(lines) for lines in values.values()}
        if len(lengths) == 1 and len(values) > 1:
            return "lines", {}, dict(values)
        raise DataError(
            f"{folder}: no file in it is named after a split (train, dev, test), and its files do "
            "not have the same number of lines; give the file itself"
        )
    texts: dict[str, list[Any]] = {"text": [], "label": []}
    for path in entries:
        for file in islice((f for f in sorted(path.rglob("*")) if f.is_file()), 50):
            if not file.name.endswith(SUFFIXES):
                raise DataError(f"{file}: is no .txt file; a folder of classes holds nothing else")
            texts["text"].append("\n".join(line for _, line in _lines(file)))
            texts["label"].append(path.name)
    return "folder", {}, texts


def _encoding(path: Path) -> str | None:
    """An encoding that the beginning of the file is in; ``None`` for UTF-8 and for no text."""
    with path.open("rb") as file:
        begin = file.read(1 << 20)
    if begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if begin.startswith((b"\x1f\x8b", b"PAR1")):
        return None
    try:
        begin[: begin.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return None


def _lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    return numbered_lines(Source(path, Problems()), encoding)


def _format(path: Path, encoding: str | None) -> FormatName:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    lines = [line for _, line in islice(_lines(path, encoding), ROWS)]
    full = [line for line in lines if line.strip()]
    if full and full[0].lstrip().startswith("{"):
        return "jsonl"
    if any(line.count("\t") == len(COLUMNS) - 1 and line.startswith("1\t") for line in full):
        return "conllu"
    if len(full) < len(lines):
        return "conll"
    return "tsv" if full and "\t" in full[0] else "csv"


def _look_at_file(
    path: Path, chosen: FormatName, encoding: str | None
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    if chosen == "parquet":
        return {}, _parquet(path)
    lines = [line for _, line in islice(_lines(path, encoding), 20 * ROWS)]
    if chosen == "jsonl":
        return {}, _jsonl(lines)
    if chosen == "conllu":
        return {}, _conllu(lines)
    if chosen == "conll":
        return _conll(lines)
    return _table(lines, chosen)


def _jsonl(lines: Sequence[str]) -> dict[str, list[Any]]:
    rows = []
    for line in islice((line for line in lines if line.strip()), ROWS):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    shared = [name for name in (rows[0] if rows else {}) if all(name in row for row in rows)]
    return {name: [row[name] for row in rows] for name in shared}


def _table(lines: Sequence[str], chosen: FormatName) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Chooses the delimiter that gives most cells, the same number in most rows."""
    usual = "\t" if chosen == "tsv" else ","
    best: tuple[int, list[list[str]], str, bool] = (0, [], usual, True)
    for delimiter in [usual, *_DELIMITERS]:
        for quoted in (chosen == "csv", chosen != "csv"):  # the usual one first
            rows = _cells(lines, delimiter, quoted=quoted)
            width = len(rows[0]) if rows else 0
            fitting = sum(len(row) == width for row in rows)
            score = fitting * (width - 1) if fitting == len(rows) else 0
            if score > best[0]:
                best = (score, rows, delimiter, quoted)
    _, rows, delimiter, quoted = best
    settings: dict[str, Any] = {}
    if delimiter != usual:
        settings["delimiter"] = delimiter
    if quoted != (chosen == "csv"):
        settings["quoted"] = quoted
    if not rows:
        rows = _cells(lines, usual, quoted=True)
    return settings, {
        name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0] if rows else ())
    }


def _cells(lines: Sequence[str], delimiter: str, *, quoted: bool) -> list[list[str]]:
    reader = csv.reader(
        (line + "\n" for line in lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    rows: list[list[str]] = []
    try:
        rows.extend(islice((row for row in reader if row), ROWS))
    except csv.Error:
        # The lines may end inside a cell; anything else is a delimiter that does not fit.
        return rows if len(rows) > 1 and reader.line_num >= len(lines) else []
    return rows


def _conllu(lines: Sequence[str]) -> dict[str, list[Any]]:
    words = [line.split("\t") for line in lines if not line.startswith("#")]
    sentences = _sentences([cells if len(cells) == len(COLUMNS) else [] for cells in words])
    values = {
        name: [tuple(cells[place] for cells in sentence) for sentence in sentences]
        for place, name in enumerate(COLUMNS)
        if name in ("form", "upos", "xpos")
    }
    if any(line.startswith("# sent_id") for line in lines):
        values["sent_id"] = [(str(number),) for number in range(len(sentences))]
    return {name: list(column) for name, column in values.items()}


def _conll(lines: Sequence[str]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    skip = [
        mark
        for mark in ("-DOCSTART-", "# ")
        if any(line.startswith(mark) and _is_remark(line, mark) for line in lines)
    ]
    rows = [
        line.split("\t") if "\t" in line else line.split()
        for line in lines
        if not (skip and line.startswith(tuple(skip)))
    ]
    width = max((len(row) for row in rows if row), default=0)
    sentences = _sentences([row if len(row) == width and any(row) else [] for row in rows])
    columns = [f"column_{place + 1}" for place in range(width)]
    values: dict[str, list[Any]] = {
        name: [tuple(cells[place] for cells in sentence) for sentence in sentences]
        for place, name in enumerate(columns)
    }
    settings: dict[str, Any] = {"columns": columns}
    if skip:
        settings["skip_lines"] = skip
    return settings, values


def _is_remark(line: str, mark: str) -> bool:
    return mark != "# " or "\t" not in line


def _sentences(rows: Sequence[list[str]]) -> list[list[list[str]]]:
    sentences: list[list[list[str]]] = [[]]
    for cells in rows:
        if cells:
            sentences[-1].append(cells)
        elif sentences[-1]:
            sentences.append([])
    return [sentence for sentence in sentences if sentence][:ROWS]


def _parquet(path: Path) -> dict[str, list[Any]]:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(
            f"{path}: format parquet needs pyarrow: pip install 'icehouse[parquet]'"
        ) from None
    from pipeline.corpus.hub_features import class_names, features_of, named

    with ParquetFile(path) as file:
        names = class_names(features_of(file.schema_arrow.metadata))
        batch = next(file.iter_batches(batch_size=ROWS), None)
        columns = {} if batch is None else batch.to_pydict()
    return {
        name: [named(value, names.get(name, ())) for value in values]
        if name in names
        else list(values)
        for name, values in columns.items()
    }
