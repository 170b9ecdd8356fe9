"""HDF5 files that somebody made to harm, with digests that fit: one line, and no row is given.

Promise: what a file of features says of itself is compared with what the format says and with the
file's own size before memory is taken, and nothing in it leads to another file.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import random_sentences
from forged import (
    ROW,
    change_file,
    lock_output,
    make_project,
    manifest,
    note_digest,
    refused,
    run,
    sign,
    snapshot,
    track_as,
    write,
)
from pipelines import extracted, labelled, prepared

from pipeline.core.errors import StoreError
from pipeline.core.files import sha256_file
from pipeline.features.reader import open_features

Edit = Callable[[h5py.File], object]


@pytest.fixture(scope="module")
def made(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("hdf5") / "project", tiny_encoder)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(made, tmp_path / "project"))
    monkeypatch.chdir(folder)
    for name in ("FEATURE_STORE", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with h5py.File(tmp_path / "elsewhere.h5", "w") as file:
        file["hidden"] = np.zeros((3, 64), np.float32)
        file["input_ids"] = np.zeros(3, np.int32)
    return folder


def replaced(name: str, change: Callable[[Any], Any]) -> Edit:
    """Another value in place of a dataset's."""

    def edit(file: h5py.File) -> None:
        value = change(file[name][()])
        del file[name]
        file[name] = value

    return edit


def without(name: str) -> Edit:
    return lambda file: file.__delitem__(name)


def linked(name: str, link: Callable[[str], Any]) -> Edit:
    """A link in place of a dataset."""

    def edit(file: h5py.File) -> None:
        file.move(name, "moved")
        file[name] = link("moved")

    return edit


def grouped(name: str) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return edit


def stored(name: str, **options: Any) -> Edit:
    """The same values, stored otherwise."""

    def edit(file: h5py.File) -> None:
        value = file[name][()]
        del file[name]
        file.create_dataset(name, data=value, **options)

    return edit


def declared(name: str, rows: int, **options: Any) -> Edit:
    """A dataset that says that it has so many rows, and holds none."""

    def edit(file: h5py.File) -> None:
        shape, dtype = (rows, *file[name].shape[1:]), file[name].dtype
        del file[name]
        file.create_dataset(name, shape, dtype, **options)

    return edit


def elsewhere(name: str) -> Edit:
    """Values in a file beside this one."""

    def edit(file: h5py.File) -> None:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        path = str(Path(file.filename).parents[5] / "elsewhere.h5")
        file.create_dataset(name, shape, dtype, external=[(path, 0, h5py.h5f.UNLIMITED)])

    return edit


def virtual(name: str) -> Edit:
    def edit(file: h5py.File) -> None:
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:1] = h5py.VirtualSource("../../../../../elsewhere.h5", name, shape)[:1]
        file.create_virtual_dataset(name, layout)

    return edit


def attribute(name: str, value: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        del file.attrs[name]
        file.attrs[name] = value

    return edit


def odd(name: str) -> dict[str, Edit]:
    """What may stand in place of any dataset."""
    return {
        "absent": without(name),
        "a group": grouped(name),
        "a soft link": linked(name, lambda to: h5py.SoftLink(f"/{to}")),
        "a soft link to nothing": linked(name, lambda _: h5py.SoftLink("/nothing")),
        "a soft link to itself": linked(name, lambda _: h5py.SoftLink(f"/{name}")),
        "an external link": linked(
            name, lambda _: h5py.ExternalLink("../../../../../elsewhere.h5", name)
        ),
        "an external link to a device": linked(
            name, lambda _: h5py.ExternalLink("/dev/zero", name)
        ),
        "in chunks": stored(name, chunks=True),
        "compressed": stored(name, compression="gzip"),
        "a type": replaced(name, lambda _: np.dtype("f4")),
        "one value": replaced(name, lambda _: np.float32(1)),
        "texts": replaced(name, lambda value: ["x"] * len(value)),
        "shorter": replaced(name, lambda value: value[:-1]),
        "longer": replaced(name, lambda value: np.concatenate([value, value[:1]])),
        "of one dimension more": replaced(name, lambda value: value[None]),
        "of another type": replaced(name, lambda value: value.astype(np.float64)),
        "of another order of bytes": replaced(
            name,
            lambda value: (
                value.astype(value.dtype.newbyteorder(">"))
                if value.dtype.itemsize > 1
                else value.astype(">i2")
            ),
        ),
        "a trillion rows": declared(name, 10**12),
        "a trillion rows in chunks": declared(
            name, 10**12, chunks=True, compression="gzip", fillvalue=1
        ),
        "no values": declared(name, 1),
        "values elsewhere": elsewhere(name),
        "virtual": virtual(name),
    }


ATTRIBUTES: dict[str, Edit] = {
    "type is a number": attribute("encoding-type", 3),
    "type is a list": attribute("encoding-type", ["icehouse-tokens"]),
    "type is bytes": attribute("encoding-type", np.void(b"icehouse")),
    "type is long": attribute("encoding-type", "x" * 60_000),
    "type is a reference": lambda file: file.attrs.create(
        "encoding-type", file.ref, dtype=h5py.ref_dtype
    ),
    "type is an empty": attribute("encoding-type", h5py.Empty("S1")),
    "version is a text": attribute("encoding-version", "1"),
    "version is a fraction": attribute("encoding-version", 1.0),
    "version is a list": attribute("encoding-version", [1]),
    "version is a compound": attribute("encoding-version", np.zeros((), [("a", "i8")])),
    "nothing": lambda file: file.attrs.clear(),
}


def set_value(name: str, place: Any, value: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        file[name][place] = value

    return edit


TOKENS: dict[str, Edit] = {
    **{f"input_ids {what}": edit for what, edit in odd("input_ids").items()},
    **{f"word_index {what}": edit for what, edit in odd("word_index").items()},
    **{f"row_offsets {what}": edit for what, edit in odd("row_offsets").items()},
    **{f"row_keys {what}": edit for what, edit in odd("row_keys").items()},
    **{f"row_words {what}": edit for what, edit in odd("row_words").items()},
    **ATTRIBUTES,
    "offsets beyond the data": set_value("row_offsets", -1, 10**12),
    "offsets that descend": set_value("row_offsets", 1, 10**6),
    "offsets that begin late": set_value("row_offsets", 0, 1),
    "offsets below 0": set_value("row_offsets", 1, -5),
    "other offsets": set_value("row_offsets", 1, 1),
    "keys of other rows": set_value("row_keys", 0, 7),
    "a word that is not there": set_value("word_index", 1, 10**6),
    "a word below none": set_value("word_index", 1, -7),
    "a word in two places": set_value("word_index", 1, 2),
    "a segment that is none": set_value("segment_ids", 0, 7),
    "fewer than no words": set_value("row_words", 0, -1),
    "a full length below 0": set_value("row_full_length", 0, -1),
}

LAYER: dict[str, Edit] = {
    **{f"hidden {what}": edit for what, edit in odd("hidden").items()},
    **ATTRIBUTES,
    "of another layer": attribute("layer", np.int64(3)),
    "layer is a text": attribute("layer", "2"),
    "layer is a list": attribute("layer", [2, 2]),
    "of no layer": lambda file: file.attrs.__delitem__("layer"),
    "a state is not a number": set_value("hidden", (0, 0), np.nan),
    "a state is infinite": set_value("hidden", (-1, -1), -np.inf),
}


def _bomb(file: h5py.File) -> None:
    """Makes every id the first one, which is long: a few bytes each."""
    count = len(file["examples/id"])
    del file["examples/id"]
    ids = np.array(["x" * 100_000, *map(str, range(1, count))], object)
    dataset = file.create_dataset("examples/id", data=ids, dtype=h5py.string_dtype())
    offset, path = dataset.id.get_offset(), Path(file.filename)
    file.flush()
    data = bytearray(path.read_bytes())
    data[offset : offset + 16 * count] = data[offset : offset + 16] * count
    path.write_bytes(data)


INDEX: dict[str, Edit] = {
    **{
        f"{name} {what}": edit
        for name in ("examples/row", "rows/offsets", "rows/keys")
        for what, edit in odd(name).items()
        if what not in {"virtual", "values elsewhere"}
    },
    **ATTRIBUTES,
    "ids absent": without("examples/id"),
    "ids are a group": grouped("examples/id"),
    "ids are numbers": replaced("examples/id", lambda value: np.arange(len(value))),
    "ids are of fixed length": replaced("examples/id", lambda value: value.astype("S10")),
    "ids are fewer": replaced("examples/id", lambda value: value[:-1]),
    "ids are twice": set_value("examples/id", 1, b"s0"),
    "ids are not UTF-8": set_value("examples/id", 1, b"\xff"),
    "ids are one long text": _bomb,
    "the group is a link": lambda file: (
        file.move("examples", "moved"),
        file.__setitem__("examples", h5py.SoftLink("/moved")),
    ),
    "the group is a dataset": lambda file: (
        file.__delitem__("examples"),
        file.__setitem__("examples", np.zeros(3)),
    ),
    "a row beyond": set_value("examples/row", 3, 10**9),
    "a row below 0": set_value("examples/row", 3, -1),
    "rows in another order": set_value("examples/row", slice(0, 2), [1, 0]),
    "a row that no example has": set_value("examples/row", -1, 0),
    "offsets beyond the data": set_value("rows/offsets", -1, 10**12),
    "offsets that descend": set_value("rows/offsets", 1, 10**6),
    "offsets across shards": lambda file: file["rows/offsets"].__setitem__(
        slice(1, -1), file["rows/offsets"][1:-1] - 1
    ),
    "keys that are one": lambda file: file["rows/keys"].__setitem__(1, file["rows/keys"][0]),
}


def forge(file: str, edit: Edit) -> Path:
    path = ROW / file if file == "features.h5" else next(iter(sorted(ROW.rglob(file))))
    change_file(path, edit)
    return path


def refuses(path: Path, *commands: str) -> None:
    for command in commands:
        line = refused(run(command))
        assert str(path) in line, line
        assert len(line) < 800
        assert line.isprintable()
    assert not Path("models").exists() or not list(Path("models").rglob("*.*"))
    assert not Path("given.h5").exists()


@pytest.mark.parametrize("what", TOKENS)
def test_tokens_that_are_none_are_not_given(project: Path, what: str) -> None:
    path = forge("tokens.h5", TOKENS[what])
    refuses(path, "train", "export")
    shard = next(
        number for number, one in enumerate(manifest()["shards"]) if one["name"] == path.parent.name
    )
    features = open_features(ROW)
    example = features.example_ids[
        int(np.flatnonzero(features.example_rows == features._first_rows[shard])[0])
    ]
    for read in (
        lambda: features.tokens(example),
        lambda: features.per_token("word_index"),
        lambda: features.per_row("row_keys"),
    ):
        with pytest.raises(StoreError):
            read()


@pytest.mark.parametrize("what", LAYER)
def test_states_that_are_none_are_not_given(project: Path, what: str) -> None:
    path = forge("layer_02.h5", LAYER[what])
    refuses(path, "export")
    features = open_features(ROW)
    if not what.startswith("a state"):
        with pytest.raises(StoreError):
            features.layer_shards(2)
    with pytest.raises(StoreError):
        _ = [features.states(example, layer=2) for example in features]


@pytest.mark.parametrize("what", LAYER)
def test_no_head_is_trained_on_states_that_are_none(project: Path, what: str) -> None:
    edit = attribute("layer", np.int64(2)) if what == "of another layer" else LAYER[what]
    refuses(forge("layer_03.h5", edit), "train", "probe")


@pytest.mark.parametrize("what", INDEX)
def test_an_index_file_that_is_none_is_not_read(project: Path, what: str) -> None:
    path = forge("features.h5", INDEX[what])
    if what == "ids are twice":  # training compares them with those of the labels
        refuses(path, "export")
        assert "not those of the labels" in refused(run("train"))
        return
    refuses(path, "train", "export")


def test_a_manifest_may_say_a_trillion_tokens(project: Path) -> None:
    content = manifest()
    for shard in content["shards"]:
        shard["tokens"] = 10**12
    sign(content)
    for path in ROW.rglob("layer_0?.h5"):
        change_file(path, declared("hidden", 10**12))
    for command in ("train", "probe", "export", "stats"):
        result = run(command)
        assert result.exit_code == (0 if command == "stats" else 2)


@pytest.mark.parametrize("data", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(1000)])
@pytest.mark.parametrize("file", ["features.h5", "tokens.h5", "layer_03.h5"])
def test_what_is_no_hdf5_is_not_read(project: Path, file: str, data: bytes) -> None:
    path = ROW / file if file == "features.h5" else next(iter(sorted(ROW.rglob(file))))
    write(path, data)
    note_digest(path)
    refuses(path, "train", "export")


@pytest.mark.parametrize("kind", ["pipe", "folder", "endless"])
@pytest.mark.parametrize("file", ["features.h5", "tokens.h5", "layer_03.h5"])
def test_what_is_no_file_is_not_waited_for(project: Path, file: str, kind: str) -> None:
    path = ROW / file if file == "features.h5" else next(iter(sorted(ROW.rglob(file))))
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    refuses(path, "train", "export", "verify")


BROUGHT = {
    **{("tokens.h5", what): edit for what, edit in TOKENS.items()},
    **{("layer_02.h5", what): edit for what, edit in LAYER.items()},
}


@pytest.mark.parametrize(("file", "what"), sorted(BROUGHT))
def test_what_dvc_brings_is_looked_at_before_the_store_takes_it(
    project: Path, file: str, what: str
) -> None:
    before = {p.relative_to(ROW): sha256_file(p) for p in ROW.rglob("*.h5")}
    forge(file, BROUGHT[file, what])
    files = {p.relative_to(ROW).as_posix(): p.read_bytes() for p in ROW.rglob("*") if p.is_file()}
    digest = track_as(project / ".dvc" / "cache", files)
    lock_output(project / "dvc.lock", "extract@small", str(ROW), digest)
    shutil.rmtree(project / ".features")
    result = run("extract")
    assert result.exit_code == 0, result.output
    assert {
        p.relative_to("again/small"): sha256_file(p) for p in Path("again/small").rglob("*.h5")
    } == before


@pytest.mark.parametrize(("file", "what"), sorted(BROUGHT))
def test_what_another_user_of_the_store_forged_is_told_in_one_line(
    project: Path, file: str, what: str
) -> None:
    """A user of a shared store may note a digest beside whatever he writes."""
    if file == "layer_02.h5" and what.startswith("a state"):
        pytest.skip("what states are is between users of a store")
    path = next(iter(sorted((project / ".features").rglob(file))))
    write(path, path.read_bytes())
    with h5py.File(path, "r+") as hdf5:
        BROUGHT[file, what](hdf5)
    write(path.with_name(f"{file}.sha256"), f"{sha256_file(path)}  {file}\n")
    for other in path.parent.glob("layer_03.h5*"):
        other.unlink()  # so that the rows of this shard are asked for
    before = snapshot(project / ".features")
    result = run("extract")
    if file == "tokens.h5" or result.exit_code:
        assert str(path) in refused(result)
        after = snapshot(project / ".features")
        assert {name for name in after if name.endswith(".h5")} == {
            name for name in before if name.endswith(".h5")
        }


@pytest.mark.parametrize("value", [10**9, -1, 2**31 - 1])
def test_tokens_of_the_store_that_no_tokenizer_gives_are_not_encoded(
    project: Path, value: int
) -> None:
    for path in (project / ".features").rglob("tokens.h5"):
        write(path, path.read_bytes())
        with h5py.File(path, "r+") as hdf5:
            hdf5["input_ids"][1] = value
        write(path.with_name("tokens.h5.sha256"), f"{sha256_file(path)}  tokens.h5\n")
    for path in (project / ".features").rglob("layer_*"):
        path.unlink()
    line = refused(run("extract"))
    assert "has tokens in the store that its tokenizer does not give" in line


def test_few_open_files_are_enough_or_told(tiny_encoder: Path, tmp_path: Path) -> None:
    """Every shard that is mapped stays open; what the limit allows, the message says."""
    folder = prepared(tmp_path, labelled(random_sentences(300)))
    row = extracted(folder, tiny_encoder, layers=(0, 1, 2, 3), shard_tokens=256)
    assert 4 * len(open_features(row).manifest.shards) > 64
    code = (
        "import sys\n"
        "from pipeline.core.command import explain\n"
        "from pipeline.features.hash_cache import HashCache\n"
        "from pipeline.features.reader import open_features\n"
        "features = open_features(sys.argv[1])\n"
        "print(len(features.per_token('input_ids')), features.states('s3', layer=2).shape)\n"
        "try:\n"
        "    features.check(features.layers, HashCache())\n"
        "except Exception as error:\n"
        "    print(explain(error))\n"
    )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    result = subprocess.run(
        [sys.executable, "-c", code, str(row)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, min(64, most))),
    )
    assert result.returncode == 0, result.stderr
    assert "Too many open files; let the process open more files: ulimit -n" in result.stdout
