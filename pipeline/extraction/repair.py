"""Makes damaged features whole again: the same bytes in the store, the workspace, DVC's cache."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.core.errors import StoreError
from pipeline.core.files import md5_file
from pipeline.core.lock import only_writer
from pipeline.core.paths import inside
from pipeline.extraction.import_files import import_files
from pipeline.features import layout
from pipeline.features.hash_cache import HashCache
from pipeline.features.manifest import Manifest, read_manifest
from pipeline.store.dvc_cache import CachedFolder
from pipeline.store.links import Linker
from pipeline.store.local import LocalStore

logger = logging.getLogger(__name__)

_WORKPLACE = ".repair"


def repair_features(
    folder: Path,
    *,
    texts_sha256: str,
    store_root: Path,
    cached: CachedFolder | None,
    hash_cache: HashCache,
    width: int,
    extract: Callable[..., object],
) -> None:
    """Replaces a features row by one that extraction makes of what is intact.

    An intact copy of a damaged file is used where there is one; what has none is computed, and
    nothing else is.

    Args:
        folder: the features row in the workspace.
        texts_sha256: digest of the text file that extraction will read.
        store_root: the local store.
        cached: what DVC tracks of the row.
        hash_cache: freshly read.
        width: of the encoder's states.
        extract: extracts the row into the folder given as ``out``.

    Raises:
        StoreError: the texts have changed since, or what was computed is not, bit for bit, what
            was stored; nothing is replaced then.
    """
    before = _manifest(folder)
    if before is not None:
        if before.texts_sha256 != texts_sha256:
            raise StoreError(
                f"{folder}: its texts have changed since it was made; run `dvc repro` instead"
            )
        store = LocalStore(store_root / before.recipe_digest()[: layout.NAME_DIGITS], hash_cache)
        names = [name for name, _ in before.digests()]
        with only_writer(store_root, f"repair of {folder.name}"):
            files = {name: inside(folder, name) for name in names}
            import_files(store, before, files, Linker(), width=width)
    fresh = folder.parent / _WORKPLACE / folder.name
    try:
        extract(out=fresh)
        _refuse_other_bits(folder, before, cached, fresh)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    finally:
        shutil.rmtree(fresh.parent, ignore_errors=True)
    for name, path in (cached.files if cached else {}).items():
        if path.is_file() and md5_file(path) != path.parent.name + path.name:
            Linker().link(inside(folder, name), path)
            logger.info("%s: repaired", path)


def _manifest(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except StoreError:
        return None


def _refuse_other_bits(
    folder: Path, before: Manifest | None, cached: CachedFolder | None, fresh: Path
) -> None:
    if before is not None:
        same = before == read_manifest(fresh)
    elif cached is not None and layout.MANIFEST in cached.files:
        path = cached.files[layout.MANIFEST]
        same = md5_file(fresh / layout.MANIFEST) == path.parent.name + path.name
    else:
        same = True  # nothing is left that says what it was
    if not same:
        raise StoreError(
            f"{folder}: what was computed is not, bit for bit, what was stored (another kind of "
            "machine?); run this where it was computed, `dvc pull` it, or remove the folder and "
            "run `dvc repro`"
        )
