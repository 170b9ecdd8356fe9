"""Looks at the beginning of a raw file: its format, and values of its fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.core.errors import DataError
from pipeline.core.reading import open_regular
from pipeline.ingest.conllu import COLUMNS
from pipeline.ingest.folders import SUFFIXES
from pipeline.ingest.listing import files_below, link_problem
from pipeline.ingest.settings import FormatName
from pipeline.ingest.split_settings import SplitName
from pipeline.setup.first_rows import MOST_CHARACTERS, ROWS, first_rows, head_of

_SUFFIXES: dict[str, FormatName] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".conllu": "conllu",
    ".parquet": "parquet",
}
_FILES = 50
"""Classes of a folder, and texts of a class, that are looked at."""

_BEGIN = 1 << 14
"""Characters of such a text."""

_SPLIT_WORDS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class FilePreview:
    """Preview of a file: its format, and values of its fields.

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


def preview_file(path: Path, *, format_name: FormatName | None = None) -> FilePreview:
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
        settings, values = first_rows(first, chosen, encoding)
        if encoding is not None:
            settings["encoding"] = encoding
    if not values or not any(values.values()):
        raise DataError(f"{first}: shows no rows of format {chosen}; name another with --format")
    return FilePreview(chosen, settings, values, files)


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
        most = MOST_CHARACTERS // len(entries)
        values = {path.name: head_of(path, ROWS, most=most) for path in entries[:_FILES]}
        lengths = {len(lines) for lines in values.values()}
        if len(lengths) == 1 and len(values) > 1:
            return "lines", {}, dict(values)
        raise DataError(
            f"{folder}: no file in it is named after a split (train, dev, test), and its files do "
            "not have the same number of lines; give the file itself"
        )
    texts: dict[str, list[Any]] = {"text": [], "label": []}
    for path in (entry for entry in entries[:_FILES] if entry.is_dir()):
        for file in islice(files_below(path), _FILES):
            if not file.name.endswith(SUFFIXES):
                raise DataError(
                    f"{file.path}: is no .txt file; a folder of classes holds nothing else"
                )
            if not file.is_symlink() or link_problem(Path(file.path), folder) is None:
                texts["text"].append("\n".join(head_of(Path(file.path), ROWS))[:_BEGIN])
                texts["label"].append(path.name)
    return "folder", {}, texts


def _encoding(path: Path) -> str | None:
    """An encoding that the beginning of the file is in; ``None`` for UTF-8 and for no text."""
    with open_regular(path) as file:
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


def _format(path: Path, encoding: str | None) -> FormatName:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if suffixes and suffixes[-1] in _SUFFIXES:
        return _SUFFIXES[suffixes[-1]]
    lines = head_of(path, ROWS, encoding)
    full = [line for line in lines if line.strip()]
    if full and full[0].lstrip().startswith("{"):
        return "jsonl"
    if any(line.count("\t") == len(COLUMNS) - 1 and line.startswith("1\t") for line in full):
        return "conllu"
    if len(full) < len(lines):
        return "conll"
    return "tsv" if full and "\t" in full[0] else "csv"
