"""Features that somebody made to harm: one line, nothing run, nothing read or written elsewhere.

Promise: what a manifest, a listing of DVC or ``dvc.lock`` names are the files of shards in their
own folder; anything else is damaged, whatever digests it has.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from forged import (
    COMMANDS,
    FILES,
    ROW,
    lock_output,
    make_project,
    manifest,
    refused,
    run,
    sign,
    snapshot,
    track_as,
    write,
)

from pipeline.core.errors import StoreError
from pipeline.features.manifest import read_manifest
from pipeline.features.reader import open_features

PRECIOUS = b"nobody's to write"


@pytest.fixture(scope="module")
def made(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("forged") / "project", tiny_encoder)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project; the current directory. Beside it is ``outside``, with files of shards' names."""
    folder = Path(shutil.copytree(made, tmp_path / "project"))
    monkeypatch.chdir(folder)
    for name in ("FEATURE_STORE", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for name in FILES:
        write(tmp_path / "outside" / name, PRECIOUS)
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return tmp_path / "outside"


def shard_names(outside: Path) -> dict[str, str]:
    """Names that lead out of a features row, out of the store, or nowhere."""
    return {
        "absolute": str(outside),
        "climbing": "../../../outside",  # from <project>/.features/<recipe>
        "climbing far": f"{'../' * 20}{outside.relative_to('/')}",
        "through a shard": f"x/../../../../{outside.name}",
        "dot": ".",
        "dots": "..",
        "empty": "",
        "nested": "a/b",
        "long": "a" * 300,
        "upper case": "A" * 32,
        "short": "a" * 31,
        "line end": "a" * 32 + "\n",
        "nul": "a" * 31 + "\0",
    }


NAMES = list(shard_names(Path("/x")))


def forge_shard(name: str) -> str:
    """Renames the first shard in the manifest, and puts its files where a reader would go."""
    content = manifest()
    first = content["shards"][0]
    genuine, first["name"] = first["name"], name
    sign(content)
    return str(genuine)


@pytest.mark.parametrize("command", sorted(COMMANDS))
@pytest.mark.parametrize("variant", NAMES)
def test_a_shards_name_leads_nowhere(
    project: Path, outside: Path, variant: str, command: str
) -> None:
    name = shard_names(outside)[variant]
    genuine = forge_shard(name)
    shards = ROW / "shards"
    if variant not in ("long", "nul"):
        # Where a row of that name would have its files: inside the row, for an absolute one.
        place = shards / name.lstrip("/") if name.startswith("/") else shards / name
        for file in FILES:
            if ".." not in name:
                write(place / file, (shards / genuine / file).read_bytes())
    before = snapshot(outside)
    store = snapshot(project / ".features")
    result = run(command)
    assert snapshot(outside) == before
    if command in ("extract", "stats", "gc", "repair"):
        assert result.exit_code == 0, result.output  # a row that is damaged is made anew
    else:
        assert "is damaged" in refused(result)
        assert (project / ".features" / "lock").exists()
        after = snapshot(project / ".features")
        assert {name: after[name] for name in store if name.endswith(".h5")} == {
            name: digest for name, digest in store.items() if name.endswith(".h5")
        }
        assert not Path("models").exists()
        assert not Path("given.h5").exists()
    if command == "repair":
        open_features(ROW).verify()


@pytest.mark.parametrize(
    "file",
    [
        "/absolute",
        "../../../../outside/tokens.h5",
        "evil.py",
        "layer_2.h5",
        "layer_99.h5",
        "layer_02.h5.sha256",
        "TOKENS.h5",
        "",
        "a" * 300,
    ],
)
@pytest.mark.parametrize("command", ["extract", "repair", "train", "export"])
def test_a_files_name_leads_nowhere(project: Path, outside: Path, file: str, command: str) -> None:
    content = manifest()
    files = content["shards"][0]["files"]
    files[str(outside / "tokens.h5") if file == "/absolute" else file] = files["layer_02.h5"]
    sign(content)
    before = snapshot(outside)
    result = run(command)
    assert snapshot(outside) == before
    if command in ("train", "export"):
        assert "is damaged" in refused(result)
    else:
        assert result.exit_code == 0, result.output
    sign(content)
    with pytest.raises(StoreError, match="is damaged"):
        read_manifest(ROW)


@pytest.mark.parametrize("lacking", FILES)
@pytest.mark.parametrize("command", ["train", "verify", "export", "probe"])
def test_a_file_that_the_manifest_does_not_digest_is_not_read(
    project: Path, lacking: str, command: str
) -> None:
    content = manifest()
    for shard in content["shards"]:
        del shard["files"][lacking]
    sign(content)
    assert "is damaged" in refused(run(command))


@pytest.mark.parametrize("command", ["extract", "repair"])
@pytest.mark.parametrize("variant", ["absolute", "climbing", "climbing far", "through a shard"])
def test_a_shard_that_dvc_brings_is_written_nowhere_else(
    project: Path, outside: Path, variant: str, command: str
) -> None:
    """Through DVC's cache, as after ``dvc pull``: manifest and listing have the same name."""
    name = shard_names(outside)[variant]
    genuine = forge_shard(name)
    files = {
        path.relative_to(ROW).as_posix().replace(f"shards/{genuine}/", f"shards/{name}/"): (
            path.read_bytes()
        )
        for path in ROW.rglob("*")
        if path.is_file()
    }
    digest = track_as(project / ".dvc" / "cache", files)
    lock_output(project / "dvc.lock", "extract@small", str(ROW), digest)
    shutil.rmtree(project / ".features")
    before = snapshot(outside)
    result = run(command)
    assert snapshot(outside) == before
    if command == "extract":
        assert result.exit_code == 0, result.output
        open_features(Path("again/small")).verify()
        sign(manifest(Path("again/small")), Path("again/small"))
    else:
        assert result.exit_code in (0, 2), result.output


@pytest.mark.parametrize("entry", ["relpath", "md5"])
def test_a_listing_of_dvc_names_no_other_file(project: Path, outside: Path, entry: str) -> None:
    """``verify --repair`` replaces what is damaged in DVC's cache, and nothing beside it."""
    secret, cache = outside / "tokens.h5", project / ".dvc" / "cache"
    files = {p.relative_to(ROW).as_posix(): p.read_bytes() for p in ROW.rglob("*") if p.is_file()}
    digest = track_as(cache, files)
    objects = cache / "files" / "md5"
    entries = json.loads((objects / digest[:2] / digest[2:]).read_bytes())
    if entry == "relpath":
        entries.append({"md5": "a" * 32, "relpath": "../../../../outside/tokens.h5"})
        write(objects / "aa" / ("a" * 30), b"damaged")
    else:
        assert entries[0]["relpath"] == "features.h5"
        entries[0]["md5"] = f"aa{secret}"
    data = json.dumps(entries).encode()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest() + ".dir"
    write(objects / digest[:2] / digest[2:], data)
    lock_output(project / "dvc.lock", "extract@small", str(ROW), digest)
    before = snapshot(outside)
    for command in ("verify", "repair", "extract"):
        assert run(command).exit_code in (0, 2)
        assert snapshot(outside) == before
        assert secret.stat().st_nlink == 1


def _without(key: str) -> Any:
    return lambda content: content.pop(key)


def _with(**changes: Any) -> Any:
    return lambda content: content.update(changes)


def _in_shard(**changes: Any) -> Any:
    return lambda content: content["shards"][0].update(changes)


def _in_recipe(**changes: Any) -> Any:
    return lambda content: content["recipe"].update(changes)


MANIFESTS: dict[str, Any] = {
    "width is a text": _with(width="64"),
    "width is true": _with(width=True),
    "width is a fraction": _with(width=64.0),
    "width is 0": _with(width=0),
    "width is vast": _with(width=200_000),
    "depth is negative": _with(depth=-1),
    "depth is vast": _with(depth=10**9),
    "dtype is unknown": _with(dtype="float128"),
    "dtype is an object": _with(dtype="O"),
    "dtype is a list": _with(dtype=["float16"]),
    "layers are a text": _with(layers="23"),
    "layers are none": _with(layers=[]),
    "layers descend": _with(layers=[3, 2]),
    "layers are twice": _with(layers=[2, 2, 3]),
    "layers are beyond the depth": _with(layers=[2, 9]),
    "layers are negative": _with(layers=[-1, 3]),
    "layers are nested": _with(layers=[[2], [3]]),
    "shards are an object": _with(shards={}),
    "shards are texts": _with(shards=["a"]),
    "shards are nothing": _with(shards=None),
    "rows are negative": _in_shard(rows=-3),
    "rows are a text": _in_shard(rows="3"),
    "tokens are vast": _in_shard(tokens=10**18),
    "tokens are beyond 64 bits": _in_shard(tokens=10**30),
    "files are a list": _in_shard(files=["tokens.h5"]),
    "a digest is a number": _in_shard(files=dict.fromkeys(FILES, 3)),
    "a digest is short": _in_shard(files=dict.fromkeys(FILES, "ab")),
    "a digest is a path": _in_shard(files=dict.fromkeys(FILES, "/etc/passwd")),
    "a name is a list": _in_shard(name=["a"]),
    "a name is a number": _in_shard(name=3),
    "a shard has more": _in_shard(path="/etc"),
    "two shards are one": lambda content: content["shards"].append(content["shards"][0]),
    "more": _with(code="evil.py"),
    "pairs are together": _with(pairs="together"),
    "pairs are nothing": _with(pairs=None),
    "no width": _without("width"),
    "no recipe": _without("recipe"),
    "recipe is a list": _with(recipe=[]),
    "recipe has more": _in_recipe(device="cuda"),
    "recipe computes in what torch has": _in_recipe(compute_dtype="load"),
    "recipe has vast rows": _in_recipe(max_length=10**12),
    "recipe has windows that stand": _in_recipe(long_texts="window", stride=10**6),
    "recipe of an encoder's path": _in_recipe(
        encoder={"weights": {"../w": "a" * 64}, "config": {}, "tokenizer": {}}
    ),
    "index digest is none": _with(entrance_sha256=None),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_that_is_none_is_damaged_in_one_line(project: Path, what: str) -> None:
    content = manifest()
    MANIFESTS[what](content)
    sign(content)
    for command in ("train", "verify", "export"):
        assert "manifest.json: is damaged" in refused(run(command))
    for command in ("stats", "gc"):
        assert run(command).exit_code == 0


def test_what_a_manifest_names_is_printed_and_not_obeyed(project: Path) -> None:
    content = manifest()
    content["recipe"]["encoder"]["weights"] = {"\x1b[2J\x1b]0;title\x07": "a" * 64}
    content["\u202e\x9b"] = 1
    sign(content)
    for command in ("verify", "train", "export"):
        result = run(command)
        assert "is damaged" in refused(result)
        assert all(line.isprintable() for line in result.output.splitlines())


TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "nested deep": b"[" * 100_000,
    "nested deep in an object": b'{"a":' * 100_000,
    "a number": b"3",
    "a list": b"[]",
    "not UTF-8": b'{"format":1,"a":"\xff"}',
    "half of a pair": b'{"format":1,"recipe":"\\ud800"}',
    "NaN": b'{"format":1,"width":NaN}',
    "infinity": b'{"format":1,"width":1e999}',
    "digits": b'{"format":1,"width":' + b"9" * 100_000 + b"}",
    "a version of digits": b'{"format":' + b"9" * 100_000 + b"}",
    "a version that is a list": b'{"format":' + b"[" * 150 + b"]" * 150 + b"}",
    "a version that is a text": b'{"format":"' + b"x\\u001b[2J" * 1000 + b'"}',
    "a version that is true": b'{"format":true}',
    "nul": b"\0" * 1000,
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("command", ["train", "verify", "export"])
def test_a_text_that_is_no_manifest_is_one_line(project: Path, what: str, command: str) -> None:
    write(ROW / "manifest.json", TEXTS[what])
    line = refused(run(command))
    assert "manifest.json: " in line
    assert len(line) < 600
    assert line.isprintable()


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "endless", "large"])
@pytest.mark.parametrize("command", ["train", "verify", "export"])
def test_what_is_no_file_is_no_manifest(project: Path, kind: str, command: str) -> None:
    path = ROW / "manifest.json"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(1 << 34)
    else:
        path.symlink_to("/dev/zero" if kind == "endless" else "/dev/null")
    refused(run(command))


def test_links_in_the_workspace_are_followed(project: Path) -> None:
    """DVC may link symbolically (``cache.type``)."""
    for number, path in enumerate(sorted(p for p in ROW.rglob("*") if p.is_file())):
        path.rename(project / f"object{number}")
        path.symlink_to(project / f"object{number}")
    shutil.rmtree(".features")
    for command in ("train", "verify", "export", "extract"):
        assert run(command).exit_code == 0
