"""A small project whose features a collaborator, or a user of a shared store, has tampered with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
from click import Command
from click.testing import CliRunner, Result
from conftest import random_sentences
from pipelines import head_settings, labelled, prepared
from ruamel.yaml import YAML

from pipeline.core.files import canonical_json, sha256_file
from pipeline.corpus.storage import read_texts
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from stages.extract import main as extract_main
from stages.probe import main as probe_main
from stages.store import main as store_main
from stages.train import main as train_main

FEATURES: dict[str, Any] = {
    "corpus": "c",
    "encoder": "e",
    "layers": [2, -1],
    "max_length": 48,
    "long_texts": "truncate",
    "storage_dtype": "float32",
    "shard_tokens": 512,
}
ROW = Path("data/features/small")
FILES = ("tokens.h5", "layer_02.h5", "layer_03.h5")
DATA = ("--labels", "data/labels/c", "--features", str(ROW))

COMMANDS: dict[str, tuple[Command, tuple[str, ...]]] = {
    "extract": (
        extract_main,
        (
            *("small", "--texts", "data/text/c", "--encoder", "data/encoders/e"),
            *("--out", "again/small", "--report", "again/small.json"),
        ),
    ),
    "train": (
        train_main,
        (
            *("h", *DATA, "--out", "models/h", "--history", "reports/history.csv"),
            *("--scores", "reports/scores.csv", "--layers", "reports/layers.csv"),
        ),
    ),
    "train words": (
        train_main,
        (
            *("w", *DATA, "--out", "models/w", "--history", "reports/history.csv"),
            *("--scores", "reports/scores.csv", "--layers", "reports/layers.csv"),
        ),
    ),
    "probe": (
        probe_main,
        ("h", "--texts", "data/text/c", *DATA, "--out", "models/linear-probes/h"),
    ),
    "verify": (store_main, ("verify",)),
    "repair": (store_main, ("verify", "--repair")),
    "export": (store_main, ("export", "small", "given.h5")),
    "stats": (store_main, ("stats",)),
    "gc": (store_main, ("gc",)),
}


def make_project(folder: Path, encoder: Path) -> Path:
    """A project with features ``small`` and their store; a head of texts, and one of words."""
    prepared(folder / "corpus", labelled(random_sentences(60)))
    for part in ("texts", "labels"):
        name = part.removesuffix("s") if part == "texts" else part
        (folder / "data" / name).mkdir(parents=True)
        (folder / "corpus" / part).rename(folder / "data" / name / "c")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    shutil.copytree(encoder, folder / "data" / "encoders" / "e")
    heads = {
        name: head_settings(task, training={"epochs": 1}).model_dump(mode="json")
        | {"corpus": "c", "features": "small"}
        for name, task in {"h": "sequence_classification", "w": "token_classification"}.items()
    }
    for head in heads.values():
        if head["pooling"] is None:
            del head["pooling"]
    params = {"features": {"small": FEATURES}, "heads": heads}
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    extract(
        lambda: read_texts(folder / "data" / "text" / "c"),
        texts_sha256=sha256_file(folder / "data" / "text" / "c" / "texts.jsonl"),
        encoder_folder=folder / "data" / "encoders" / "e",
        settings=FeaturesSettings.model_validate_json(json.dumps(FEATURES)),
        store_root=folder / ".features",
        project=folder,
        out=folder / ROW,
    )
    return folder


def run(name: str) -> Result:
    """Runs one of ``COMMANDS``; a traceback fails."""
    command, arguments = COMMANDS[name]
    result = CliRunner().invoke(command, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(result: Result) -> str:
    """The one line of an error, which is told and leaves no traceback."""
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == lines[0]
    assert "Traceback" not in result.output
    return lines[0]


def snapshot(folder: Path) -> dict[str, str]:
    """What is in a folder, no link followed: the digest of each file, the target of each link."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            place = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[place] = f"-> {path.readlink()}"
            elif path.is_file():
                found[place] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[place] = "folder" if path.is_dir() else "special"
    return found


def manifest(row: Path = ROW) -> dict[str, Any]:
    """The content of a row's manifest."""
    content: dict[str, Any] = json.loads((row / "manifest.json").read_text(encoding="utf-8"))
    return content


def sign(content: dict[str, Any], row: Path = ROW) -> None:
    """Writes a manifest with the digest of itself that it must have: nobody's key is needed."""
    content = {key: value for key, value in content.items() if key != "manifest_sha256"}
    digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    write(row / "manifest.json", canonical_json({**content, "manifest_sha256": digest}) + "\n")


def write(path: Path, data: str | bytes) -> None:
    """Writes a file that may be there, read-only, and linked to others."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def change_file(path: Path, edit: Callable[[h5py.File], object], row: Path = ROW) -> None:
    """Edits an HDF5 file of a row, and the manifest's digest of it."""
    write(path, path.read_bytes())
    with h5py.File(path, "r+") as file:
        edit(file)
    note_digest(path, row)


def note_digest(path: Path, row: Path = ROW) -> None:
    """Makes a file of a row the one that its manifest says."""
    content = manifest(row)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.name == "features.h5":
        content["entrance_sha256"] = digest
    for shard in content["shards"]:
        if shard["name"] == path.parent.name:
            shard["files"][path.name] = digest
    sign(content, row)


def track_as(objects: Path, files: dict[str, bytes]) -> str:
    """Puts files into a cache or a remote of DVC under any names.

    Returns:
        The digest of their listing.
    """
    entries = []
    for name, data in sorted(files.items()):
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        entries.append({"md5": md5, "relpath": name})
        _put(objects, md5, data)
    listing = json.dumps(entries).encode()
    digest = hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"
    _put(objects, digest, listing)
    return digest


def _put(objects: Path, digest: str, data: bytes) -> None:
    path = objects / "files" / "md5" / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(data)


def lock_output(lock: Path, stage: str, path: str, digest: str) -> None:
    """Says in ``dvc.lock`` that an output of a stage is this one."""
    yaml = YAML(typ="safe")
    content = yaml.load(lock.read_text(encoding="utf-8")) if lock.exists() else {"schema": "2.0"}
    outputs = (
        content.setdefault("stages", {}).setdefault(stage, {"cmd": "x"}).setdefault("outs", [])
    )
    outputs[:] = [one for one in outputs if one["path"] != path]
    outputs.append({"path": path, "md5": digest, "hash": "md5"})
    with lock.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
