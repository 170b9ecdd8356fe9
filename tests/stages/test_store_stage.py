"""``stages.store`` on a small project whose features DVC tracks."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import random_sentences, write_tiny_bert
from pipelines import labelled, prepared
from tracked import digests, flip, track

from pipeline.core.files import sha256_file
from pipeline.corpus.storage import read_texts
from pipeline.encoder.packs import EncodedPack, PackStates
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import materialise
from pipeline.extraction import compute
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.features.reader import open_features
from stages.store import main

FLIPS = int(os.environ.get("ICEHOUSE_FLIPS", "40"))
"""Bits that are flipped, found and repaired; 200 where there is time."""

SETTINGS: dict[str, Any] = {
    "corpus": "c",
    "encoder": "e",
    "layers": [2, -1],
    "max_length": 48,
    "long_texts": "truncate",
    "storage_dtype": "float16",
    "shard_tokens": 512,
}
PARAMS = f"features:\n  small: {SETTINGS}\n".replace("'", "")


@pytest.fixture
def project(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``data/features/small``, extracted and tracked; the current directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("FEATURE_STORE", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".dvc").mkdir()
    prepared(tmp_path / "corpus", labelled(random_sentences(60)))
    (tmp_path / "data" / "text").mkdir(parents=True)
    (tmp_path / "data" / "encoders").mkdir()
    shutil.copytree(tmp_path / "corpus" / "texts", tmp_path / "data" / "text" / "c")
    shutil.copytree(tiny_encoder, tmp_path / "data" / "encoders" / "e")
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    make("small")
    return tmp_path


def make(name: str, **changes: Any) -> Path:
    out = Path("data/features") / name
    extract(
        lambda: read_texts(Path("data/text/c")),
        texts_sha256=sha256_file(Path("data/text/c/texts.jsonl")),
        encoder_folder=Path("data/encoders/e"),
        settings=FeaturesSettings.model_validate_json(json.dumps({**SETTINGS, **changes})),
        store_root=Path(".features").absolute(),
        project=Path.cwd(),
        out=out,
    )
    return out


def store(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result


def damaged(result: Result) -> set[str]:
    lines = result.output.splitlines()
    return {line.split(": ")[1] for line in lines if line.startswith("damaged: ")}


def test_every_flipped_bit_is_found_and_repaired_everywhere(
    project: Path, encoded: list[int]
) -> None:
    features = project / "data" / "features" / "small"
    objects = track(project, features)
    rows = {shard.name: shard.rows for shard in open_features(features).manifest.shards}
    before, cache = digests(features), digests(project / ".dvc" / "cache")
    stored = digests(project / ".features")
    assert store("verify").exit_code == 0
    chance = random.Random(4)  # noqa: S311
    names = sorted(objects)
    encoded.clear()
    for number in range(FLIPS):
        name = names[number % len(names)]
        path = features / name
        flip(path, chance.randrange(8 * path.stat().st_size))
        assert digests(features) != before
        found = store("verify")
        assert found.exit_code == 2
        assert f"data/features/small/{name}" in damaged(found), name
        assert not damaged(found) & {f"data/features/small/{one}" for one in names if one != name}
        assert "stages.store verify --repair" in found.output.splitlines()[-1]
        repaired = store("verify", "--repair")
        assert repaired.exit_code == 0, repaired.output
        assert digests(features) == before
        assert digests(project / ".dvc" / "cache") == cache
        assert {
            name: digest
            for name, digest in digests(project / ".features").items()
            if name.endswith((".h5", ".sha256"))
        } == {name: digest for name, digest in stored.items() if name.endswith((".h5", ".sha256"))}
        assert path.stat().st_mode & 0o777 == 0o444
        if Path(name).name.startswith("layer_"):
            assert sum(encoded) == rows[Path(name).parent.name]
            assert path.samefile(objects[name])
        else:
            assert encoded == []
        encoded.clear()


def test_an_intact_copy_spares_the_encoder(project: Path, encoded: list[int]) -> None:
    """Where DVC's cache holds copies, not links."""
    features = project / "data" / "features" / "small"
    before = digests(features)
    track(project, features, linked=False)
    encoded.clear()
    flip(next(features.rglob("layer_02.h5")))
    assert len(damaged(store("verify"))) == 2  # one file, in the workspace and in the store
    assert store("verify", "--repair").exit_code == 0
    assert encoded == []
    assert digests(features) == before


def test_damage_in_dvcs_cache_alone_is_found_and_mended(project: Path) -> None:
    features = project / "data" / "features" / "small"
    objects = track(project, features, linked=False)
    for name in ("manifest.json", "features.h5"):
        flip(objects[name])
        result = store("verify", "small")
        assert damaged(result) == {str(objects[name])}
        assert store("verify", "--repair").exit_code == 0
        assert store("verify").exit_code == 0


def test_damage_that_no_features_need_is_removed(project: Path) -> None:
    make("other", layers=[1])
    shutil.rmtree("data/features/other")
    victim = next((project / ".features").rglob("layer_01.h5"))
    flip(victim)
    result = store("verify")
    assert damaged(result) == {str(victim)}
    result = store("verify", "--repair")
    assert result.exit_code == 0
    assert "removed; no features here need it" in result.output
    assert not victim.exists()


def test_missing_files_are_damage(project: Path) -> None:
    lost = next((project / "data" / "features" / "small").rglob("layer_03.h5"))
    expected = str(lost.relative_to(project))
    lost.unlink()
    assert damaged(store("verify")) == {expected}
    assert store("verify", "--repair").exit_code == 0
    assert lost.is_file()


def test_texts_that_have_changed_are_no_base_for_a_repair(project: Path) -> None:
    flip(next((project / "data" / "features" / "small").rglob("layer_03.h5")))
    prepared(project / "other", labelled(random_sentences(30, seed=9)))
    shutil.copy(project / "other" / "texts" / "texts.jsonl", project / "data" / "text" / "c")
    result = store("verify", "--repair")
    assert result.exit_code == 2
    assert "its texts have changed since" in result.output.splitlines()[-1]


def test_another_machines_bits_are_not_put_in_their_place(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = project / "data" / "features" / "small"
    flip(next(features.rglob("layer_03.h5")))
    before = digests(features)
    original = compute.encode_packs

    def differently(*arguments: Any) -> Iterator[EncodedPack]:
        for pack in original(*arguments):
            found = pack.fetch()
            other = {layer: values * 1.001 for layer, values in found.by_layer.items()}
            yield EncodedPack(pack.pieces, partial(PackStates, other, found.finite))

    monkeypatch.setattr(compute, "encode_packs", differently)
    result = store("verify", "--repair")
    assert result.exit_code == 2
    assert "is not, bit for bit, what was stored" in result.output.splitlines()[-1]
    assert digests(features) == before
    assert sorted(path.name for path in features.parent.iterdir()) == ["small"]


def test_a_repair_needs_the_row_in_the_parameters(project: Path) -> None:
    make("small").rename("data/features/renamed")
    flip(next((project / "data" / "features" / "renamed").rglob("layer_03.h5")))
    result = store("verify", "--repair")
    assert result.exit_code == 2
    assert "features has no row 'renamed'" in result.output.splitlines()[-1]


@pytest.mark.parametrize("path", ["data/text/c/texts.jsonl", "data/encoders/e"])
@pytest.mark.parametrize("option", [["--repair"], ["--recompute", "2"]])
def test_computing_needs_texts_and_encoder(project: Path, path: str, option: list[str]) -> None:
    (project / path).rename(project / "away")
    if option == ["--repair"]:
        flip(next((project / "data" / "features" / "small").rglob("layer_03.h5")))
    result = store("verify", *option)
    assert result.exit_code == 2
    assert f"{path}: is missing, and is needed to compute" in result.output.splitlines()[-1]


def test_recomputed_rows_agree_bit_for_bit_on_this_machine(project: Path) -> None:
    result = store("verify", "--recompute", "7")
    assert result.exit_code == 0
    assert "features small: 7 rows computed afresh agree bit for bit" in result.output


def test_recomputed_rows_of_other_machines_agree_within_the_precision(project: Path) -> None:
    for log in (project / ".features").rglob("log.jsonl"):
        log.unlink()
    result = store("verify", "--recompute", "1000")
    assert "agree within the precision" in result.output


@pytest.mark.parametrize("forget", [False, True])
def test_features_that_do_not_follow_from_the_encoder_are_told(project: Path, forget: bool) -> None:
    shutil.rmtree(project / "data" / "encoders" / "e")
    source = write_tiny_bert(project / "other", seed=5)
    materialise(
        EncoderSettings(source=str(source), revision=None), project / "data" / "encoders" / "e"
    )
    if forget:
        for log in (project / ".features").rglob("log.jsonl"):
            log.unlink()
    result = store("verify", "small", "--recompute", "5")
    assert result.exit_code == 2
    assert "5 of 5 rows computed afresh differ" in result.output


def test_unknown_features_are_told(project: Path) -> None:
    assert "data/features/elsewhere: no such features" in store("verify", "elsewhere").output


def test_stats_count_what_rows_share_and_what_is_unused(project: Path) -> None:
    make("more", layers=[1, 2])
    make("gone", layers=[0])
    shutil.rmtree("data/features/gone")
    lines = store("stats").output.splitlines()
    rows = {tuple(line.split()[:3]): line.split() for line in lines if "layer" in line}
    shared = {name[::2]: fields[-1] == fields[-2] for name, fields in rows.items()}
    assert shared == {
        ("more", "1"): False,
        ("more", "2"): True,
        ("small", "2"): True,
        ("small", "3"): False,
    }
    unused = sum(path.stat().st_size for path in (project / ".features").rglob("layer_00.h5"))
    assert lines[-1].split()[-1] == f"{unused / 1e6:.1f}"


def test_gc_removes_what_nothing_else_links_to(project: Path) -> None:
    before = digests(project / "data" / "features" / "small")
    make("gone", layers=[0])
    shutil.rmtree("data/features/gone")
    left = next((project / ".features").rglob("layer_00.h5")).with_name(".layer_01.h5.x.tmp")
    left.touch()
    names = len(list((project / ".features").rglob("layer_00.h5")))
    assert store("gc", "--dry-run").output.startswith(f"{names} files, ")
    assert len(list((project / ".features").rglob("layer_00.h5*"))) == 2 * names
    assert store("gc").output.startswith(f"{names} files, ")
    assert list((project / ".features").rglob("layer_00.h5*")) == []
    assert not left.exists()
    assert store("gc").output.startswith("0 files, ")
    assert digests(project / "data" / "features" / "small") == before
    assert store("verify").exit_code == 0


def test_gc_spares_what_the_workspace_holds_as_copies(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store is on another disk, nothing links to it."""
    monkeypatch.setenv("FEATURE_STORE", str(project / "elsewhere"))
    shutil.copytree(project / ".features", project / "elsewhere")
    assert store("gc").output.startswith("0 files, ")
    shutil.rmtree("data/features/small")
    assert not store("gc").output.startswith("0 files, ")


def test_gc_without_a_store_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_STORE", str(project / "elsewhere"))
    assert "there is no store yet" in store("gc").output


def test_export_is_one_file_with_everything_in_it(project: Path) -> None:
    features = open_features("data/features/small")
    assert store("export", "small", "given.h5").exit_code == 0
    shutil.move("given.h5", project.parent / "given.h5")  # nothing beside it is needed
    with (
        h5py.File(project.parent / "given.h5") as file,
        h5py.File("data/features/small/features.h5") as index,
    ):
        for group in ("layers", "tokens", "examples", "rows"):
            assert set(file[group]) == set(index[group])
            for name in file[group]:
                dataset, original = file[group][name], index[group][name]
                assert not dataset.is_virtual
                assert dataset.dtype == original.dtype
                assert np.array_equal(dataset[()], original[()])
        assert file.attrs["texts_sha256"] == features.manifest.texts_sha256
        assert '"max_length":48' in file.attrs["recipe"]


def test_export_of_one_layer(project: Path) -> None:
    assert store("export", "small", "given.h5", "--layer", "-1").exit_code == 0
    with h5py.File("given.h5") as file:
        assert set(file["layers"]) == {"03"}
    result = store("export", "small", "other.h5", "--layer", "1")
    assert result.exit_code == 2
    assert "keeps no layer 1; it keeps 2, 3" in result.output
    assert not Path("other.h5").exists()


def test_damaged_features_are_not_given_away(project: Path) -> None:
    flip(next((project / "data" / "features" / "small").rglob("layer_03.h5")))
    result = store("export", "small", "given.h5")
    assert result.exit_code == 2
    assert "is damaged" in result.output
    assert not Path("given.h5").exists()


@pytest.mark.parametrize("command", [[], ["stats"], ["verify"], ["gc"], ["export"]])
def test_help_says_what_each_command_does(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5
