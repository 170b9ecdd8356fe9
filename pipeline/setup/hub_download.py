"""Brings a data set of Hugging Face ``datasets`` into files, from the Hub or a local folder."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

from pipeline.core.errors import DataError
from pipeline.core.files import atomic_directory
from pipeline.core.paths import UnsafeNameError, member
from pipeline.ingest.hub_features import class_names, named

logger = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")


def fetch(
    source: str,
    out: Path,
    *,
    revision: str | None,
    config: str | None = None,
) -> list[str]:
    """Writes each split as ``<split>.jsonl``, classes by their names, in the order of the data set.

    Args:
        source: ``owner/name`` on the Hub, or a folder that ``save_to_disk`` wrote.
        out: the folder to write; it must not be there.
        revision: of a data set on the Hub, the commit.
        config: of a data set with several, which one.

    Returns:
        The names of the files.

    Raises:
        DataError: ``datasets`` is not installed, the revision is not a commit, the data set cannot
            be had, or ``out`` is there.
    """
    if out.exists():
        raise DataError(f"{out}: is there already; move it away, or name another --out")
    splits = _load(source, revision, config)
    names = []
    with atomic_directory(out) as folder:
        for split, rows in splits.items():
            classes = class_names(rows.features.to_dict())
            path = _place(folder, split, source)
            with path.open("wb") as file:
                for row in rows:
                    for column in classes.keys() & row.keys():
                        row[column] = named(row[column], classes[column])
                    file.write(_line(row, source))
            logger.info("%s: %d rows", out / path.name, len(rows))
            names.append(path.name)
    return names


def _place(folder: Path, split: str, source: str) -> Path:
    try:
        return member(folder, f"{split}.jsonl")
    except UnsafeNameError as error:
        raise DataError(f"{source}: a split is called so that it is no file: {error}") from None


def _line(row: dict[str, Any], source: str) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{source}: holds what JSON cannot: {error}") from None


def _load(source: str, revision: str | None, config: str | None) -> dict[str, Any]:
    try:
        import datasets
    except ImportError:
        raise DataError(
            "data sets of the Hub need a library: pip install 'icehouse[hub]' (in the project's "
            "folder: pip install -e '.[hub]')"
        ) from None
    try:
        if Path(source).is_dir():
            loaded = datasets.load_from_disk(source)
        else:
            loaded = _from_hub(source, revision, config, datasets)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{source}: cannot be had: {reason}") from None
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _from_hub(source: str, revision: str | None, config: str | None, datasets: Any) -> Any:
    if revision is None or not _COMMIT.fullmatch(revision):
        raise DataError(
            f"{source}: a data set on the Hub needs a commit, which cannot change: --revision with "
            "the 40 hexadecimal digits that its page shows under Files, History"
        )
    return datasets.load_dataset(source, config, revision=revision)
