"""Reasons why a rebuild may differ in its last digits: other libraries, another machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import StoreError
from pipeline.features import layout
from pipeline.features.manifest import read_manifest_file
from pipeline.lineage.content import read_listing
from pipeline.lineage.lock_entries import Item
from pipeline.store.dvc_cache import DvcCache
from pipeline.store.local import LocalStore


def machines_of(features: Item, cache: DvcCache, store_root: Path) -> list[dict[str, Any]]:
    """Machines that extracted a features row, by the local store's log.

    Nothing where it was extracted elsewhere, or DVC's cache does not have its manifest.
    """
    files = read_listing(cache.object(features.digest))
    try:
        manifest = cache.object(files[layout.MANIFEST])
        recipe = read_manifest_file(manifest).recipe_digest() if manifest else ""
    except (OSError, ValueError, KeyError, StoreError):
        return []
    entries = LocalStore(store_root / recipe[: layout.NAME_DIGITS]).read_log()
    return [entry for entry in entries if entry.get("rows", 1)]


def why_different(
    *,
    torch_then: str | None,
    torch_now: str,
    logged: Iterable[Mapping[str, Any]],
    machine: Mapping[str, Any],
) -> str:
    """The likeliest cause, of what is known.

    Args:
        torch_then: version that the file was made with, where that is known.
        torch_now: version that it was rebuilt with.
        logged: what the local store's log says of the machines that extracted the features;
            nothing where they were extracted elsewhere.
        machine: this one, as ``describe_machine`` has it.
    """
    if torch_then is not None and torch_then != torch_now:
        return (
            f"it was made with torch {torch_then}, this is torch {torch_now}: rebuild it with the "
            "commands above"
        )
    known = [{name: entry.get(name) for name in machine} for entry in logged]
    other = next((entry for entry in known if entry != machine), None)
    if other is not None:
        return (
            "the features were computed on another kind of machine: "
            + ", ".join(
                f"{name} {other[name]}, here {machine[name]}"
                for name in machine
                if other[name] != machine[name]
            )
            + "; last digits may differ"
        )
    if known:
        return (
            "the features were computed on this kind of machine; on which one the rest was made is "
            "not known"
        )
    return (
        "on which kind of machine it was made is not known; on another, or with another number of "
        "threads, last digits may differ"
    )
