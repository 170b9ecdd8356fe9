"""Cache of fitted rivals in the store's folder: heads that ask the same find the same answer.

A rival depends on a label column and on what describes its texts, and not on a head: heads that
differ in their network share one. ``<store>/rivals/<key>.json`` holds its SHA-256 in a first line,
and what was fitted in a second. It may be deleted at any time; what is damaged is fitted anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.core.files import canonical_json, remove_temporaries, sha256_text, write_text
from pipeline.core.reading import parse_json, read_bytes
from pipeline.corpus.storage import Labels
from pipeline.features import layout
from pipeline.features.reader import Features
from pipeline.probes.fitted import FittedRival

FOLDER = "rivals"
MOST_FILES = 200

_CODE = ("core", "corpus", "features", "tasks", "probes")
"""Rooms that decide what is fitted: those that the stage depends on."""

_LIBRARIES = ("torch", "numpy", "scikit-learn")
_MOST_BYTES = 1 << 30


class FitCache:
    """Fitted rivals by what they follow from.

    Args:
        store: the store's folder; it may not exist yet.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER

    def read(self, inputs: Mapping[str, Any]) -> FittedRival | None:
        """What was fitted from these inputs, if it is there."""
        if self._folder.is_symlink():
            return None
        try:
            data = read_bytes(self._path(inputs), limit=_MOST_BYTES, follow=False)
        except OSError:
            return None
        digest, _, content = data.partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode("ascii") != digest:
            return None
        with suppress(ValueError, TypeError, KeyError):
            found = parse_json(content)
            return FittedRival(found["predictions"], found["description"])
        return None

    def write(self, inputs: Mapping[str, Any], fitted: FittedRival) -> None:
        """Keeps what was fitted; where nothing can be written, it is fitted again next time."""
        # In the order in which it was described, as it is written to the outputs.
        content = json.dumps(
            {"predictions": fitted.predictions, "description": fitted.description},
            ensure_ascii=False,
            allow_nan=False,
        )
        with suppress(OSError):
            if self._folder.is_symlink():
                return
            path = self._path(inputs)
            remove_temporaries(self._folder, path.name)
            write_text(path, f"{sha256_text(content)}\n{content}")
            files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for old in files[:-MOST_FILES]:
                old.unlink(missing_ok=True)

    def _path(self, inputs: Mapping[str, Any]) -> Path:
        everything = {
            **inputs,
            "code": _code(),
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
        return self._folder / f"{sha256_text(canonical_json(everything))}.json"


def labels_digest(labels: Labels) -> str:
    """SHA-256 of a label column: ids, splits, values, and the texts that they are of."""
    return sha256_text(
        canonical_json([labels.ids, labels.splits, labels.values, labels.kind, labels.texts_sha256])
    )


def features_digest(features: Features, layers: list[int]) -> str:
    """SHA-256 of what the files of some layers hold, as the manifest has it, and of the recipe."""
    read = {layout.INDEX_FILE, *layout.shard_files(layers)}
    files = [
        [name, digest] for name, digest in features.manifest.digests() if Path(name).name in read
    ]
    return sha256_text(canonical_json([layers, files, features.manifest.recipe_digest()]))


@cache
def _code() -> str:
    """SHA-256 of the code that fits: an edit of it makes what was cached before another's."""
    digest = hashlib.sha256()
    for room in _CODE:
        for path in sorted((Path(__file__).parents[1] / room).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
