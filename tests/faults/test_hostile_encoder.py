"""Encoders that somebody made to harm: one line, nothing run, nothing read or written elsewhere.

Promise: what an encoder is made of are files of known names and kinds, in its own folder, of sizes
that agree; and Python that comes with one runs where the user's row or option says so, only there.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click import Command
from click.testing import CliRunner, Result
from conftest import random_sentences
from pipelines import fit, head_settings, labelled, prepared
from tracked import digests

import icehouse
from pipeline.core.errors import EncoderError
from pipeline.core.files import sha256_file
from pipeline.core.params import ParamsFile
from pipeline.core.paths import is_member_name
from pipeline.corpus.storage import read_texts
from pipeline.encoder.settings import EncoderSettings, trusts_code
from pipeline.encoder.snapshot import materialise
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.extraction.run import extract
from pipeline.extraction.settings import FeaturesSettings
from pipeline.heads.checkpoint import save_head
from pipeline.layer_study.random_init import random_encoder
from stages.encoder import main as encoder_main
from stages.extract import main as extract_main
from stages.predict import main as predict_main
from stages.store import main as store_main

SECONDS = 10
"""No refusal takes longer, whatever the machine is busy with; most take a hundredth of that."""

DEEP = "[" * 100_000 + "]" * 100_000

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Code that transformers runs is copied below ``tmp_path``; questions are answered with yes."""
    from transformers import dynamic_module_utils

    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("corpus"), labelled(random_sentences(60)))


@pytest.fixture
def source(tiny_bert: Path, tmp_path: Path) -> Path:
    """A model as its author gives it away."""
    return Path(shutil.copytree(tiny_bert, tmp_path / "source"))


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A materialised encoder as it comes out of somebody's remote."""
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


def refused(main: Command, arguments: list[str], problem: str, watched: Path) -> None:
    """Runs a command: exit code 2, one line, and nothing written outside of temporary folders."""
    before = digests(watched)
    begin = time.process_time()
    result = CliRunner().invoke(main, arguments, input=b"snow\n")
    assert time.process_time() - begin < SECONDS
    one_line(result, problem)
    assert digests(watched) == before


def one_line(result: Result, problem: str) -> None:
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert problem in lines[0]
    assert "Traceback" not in result.output


def refused_source(source: Path, tmp_path: Path, problem: str, *, trusts: bool = False) -> None:
    """``stages.encoder`` refuses a source."""
    row = {"source": str(source), "revision": None, "trust_remote_code": trusts}
    (tmp_path / "work").mkdir()
    params = tmp_path / "work" / "params.yaml"
    params.write_text(json.dumps({"encoders": {"e": row}}), encoding="utf-8")
    arguments = ["e", "--out", str(tmp_path / "work" / "e"), "--params", str(params)]
    refused(encoder_main, arguments, problem, tmp_path / "work")


def write_params(folder: Path, *, trusts: bool | None = None) -> Path:
    """Parameters with features ``f`` of encoder ``e``, and its row where ``trusts`` is said."""
    features = {
        "corpus": "c",
        "encoder": "e",
        "layers": [1, -1],
        "max_length": 32,
        "long_texts": "truncate",
        "storage_dtype": "float32",
        "shard_tokens": 512,
    }
    tables: dict[str, Any] = {"features": {"f": features}}
    if trusts is not None:
        row = {"source": "./e", "revision": None, "trust_remote_code": trusts}
        tables["encoders"] = {"e": row}
    path = folder / "params.yaml"
    path.write_text(json.dumps(tables), encoding="utf-8")
    return path


def extraction(corpus: Path, encoder: Path, folder: Path, params: Path) -> list[str]:
    arguments = ["f", "--texts", str(corpus / "texts"), "--encoder", str(encoder)]
    arguments += ["--out", str(folder / "f"), "--report", str(folder / "f.json")]
    return [*arguments, "--params", str(params)]


@pytest.fixture
def refused_encoder(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """``stages.extract`` refuses a received encoder."""
    work = tmp_path / "work"
    work.mkdir()
    (work / ".dvc").mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / "store"))

    def check(encoder: Path, problem: str, *, trusts: bool | None = None) -> None:
        params = write_params(work, trusts=trusts)
        refused(extract_main, extraction(corpus, encoder, work, params), problem, work)
        assert not (tmp_path / "modules").exists(), "code was made ready to run"

    return check


def seal(folder: Path, **changes: Any) -> None:
    """Describes the files of an encoder as whoever forges one would."""
    path = folder / "encoder.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    names = [file.name for file in folder.iterdir() if file.is_file() and file != path]
    for role in ("weights", "config", "tokenizer"):
        content[role] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in names
            if (name == "config.json") == (role == "config")
            and (".safetensors" in name) == (role == "weights")
            and not name.endswith(".py")
        }
    code = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
        if name.endswith(".py")
    }
    if code:
        content["code"] = code
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def write_code(folder: Path, marker: Path) -> None:
    """A model of a type of its own, whose code leaves a mark as soon as it is run."""
    mark = f"open({str(marker)!r}, 'w').close()\n"
    (folder / "configuration_own.py").write_text(
        f"{mark}from transformers import BertConfig\n\n\nclass OwnConfig(BertConfig):\n"
        '    model_type = "own"\n',
        encoding="utf-8",
    )
    (folder / "modeling_own.py").write_text(
        f"{mark}from transformers import BertModel\n\nfrom .configuration_own import OwnConfig\n"
        "\n\nclass OwnModel(BertModel):\n    config_class = OwnConfig\n",
        encoding="utf-8",
    )
    auto_map = {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    change_json(folder / "config.json", model_type="own", auto_map=auto_map)


# --- Sources ---


@pytest.mark.parametrize(
    "named",
    [
        "evil.py",
        "../outside.safetensors",
        "/etc/passwd",
        "sub/model.safetensors",
        "pytorch_model.bin",
        "config.json",
        "",
        ".",
        "a\0.safetensors",
        ["model.safetensors"],
        {"a": "model.safetensors"},
        7,
        None,
    ],
)
def test_an_index_names_weights_and_nothing_else(source: Path, tmp_path: Path, named: Any) -> None:
    marker = tmp_path / "ran"
    (source / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n", encoding="utf-8")
    (source / "pytorch_model.bin").write_bytes(b"x")
    (tmp_path / "outside.safetensors").write_bytes(b"x")
    index = {"weight_map": {"a": "model.safetensors", "b": named}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    refused_source(source, tmp_path, "model.safetensors.index.json names")
    assert not marker.exists()


@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": []}', DEEP, "7"])
def test_an_index_that_is_none_is_one_line(source: Path, tmp_path: Path, content: str) -> None:
    (source / "model.safetensors.index.json").write_text(content, encoding="utf-8")
    refused_source(source, tmp_path, "model.safetensors.index.json")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_a_source_is_regular_files(source: Path, tmp_path: Path, name: str, kind: str) -> None:
    path = source / name
    path.unlink()
    (source / "tokenizer_config.json").unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            here = Path.cwd()
            os.chdir(source)  # the path of a socket is short
            try:
                bound.bind(name)
            finally:
                os.chdir(here)
    refused_source(source, tmp_path, "encoder source")


def test_links_of_a_cache_of_the_hub_are_followed(tiny_bert: Path, tmp_path: Path) -> None:
    blobs, links = tmp_path / "blobs", tmp_path / "snapshots" / "0123"
    blobs.mkdir()
    links.mkdir(parents=True)
    for path in tiny_bert.iterdir():
        name = hashlib.sha256(path.name.encode()).hexdigest()
        shutil.copyfile(path, blobs / name)
        (links / path.name).symlink_to(f"../../blobs/{name}")
    for number, folder in enumerate((tiny_bert, links)):
        materialise(EncoderSettings(source=str(folder), revision=None), tmp_path / str(number))
    assert digests(tmp_path / "0") == digests(tmp_path / "1")


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"hidden_size": 0}, "hidden_size 0"),
    ({"hidden_size": -64}, "hidden_size -64"),
    ({"hidden_size": True}, "hidden_size True"),
    ({"hidden_size": "64"}, "hidden_size '64'"),
    ({"hidden_size": [64]}, "hidden_size [64]"),
    ({"num_hidden_layers": 1e3}, "num_hidden_layers 1000.0"),
    ({"num_hidden_layers": 10**7}, "num_hidden_layers 10000000"),
    ({"n_layers": 10**7}, "n_layers 10000000"),
    ({"num_labels": 10**9}, "num_labels 1000000000"),
    ({"num_hidden_groups": 10**9}, "num_hidden_groups 1000000000"),
    ({"model_type": ["bert"]}, "model_type ['bert']"),
    ({"attn_implementation": "kernels-community/flash-attn"}, "kernels-community"),
    ({"_attn_implementation": "some/kernel@main"}, "some/kernel"),
    ({"text_config": {"_attn_implementation_internal": "some/kernel"}}, "some/kernel"),
    ({"quantization_config": {"quant_method": "mxfp4"}}, "has quantization_config"),
    ({"transformers_weights": "../outside.safetensors"}, "has transformers_weights"),
    ({"base_model_name_or_path": "org/repo"}, "has base_model_name_or_path"),
    ({"fusion_config": {"a": 1}}, "has fusion_config"),
    ({"backbone": "org/repo"}, "has backbone"),
]


@pytest.mark.parametrize(("changes", "problem"), CONFIGS)
def test_a_configuration_that_asks_for_too_much_is_refused_at_its_source(
    source: Path, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    change_json(source / "config.json", **changes)
    refused_source(source, tmp_path, problem)


@pytest.mark.parametrize("content", [DEEP, '{"a": NaN}', '{"a": "\\ud800"}', "", "\0", "[1]"])
@pytest.mark.parametrize("trusts", [False, True])
def test_a_configuration_that_is_none_is_one_line(
    source: Path, tmp_path: Path, content: str, trusts: bool
) -> None:
    (source / "config.json").write_text(content, encoding="utf-8")
    refused_source(source, tmp_path, "config.json is damaged", trusts=trusts)


def test_a_configuration_of_a_gigabyte_is_not_read(source: Path, tmp_path: Path) -> None:
    with (source / "config.json").open("r+b") as file:
        file.truncate(1 << 30)
    refused_source(source, tmp_path, "config.json: has more than 64 MiB")


@pytest.mark.parametrize("auto_map", [7, {"AutoModel": 7}, {"AutoModel": {"a": 1}}, [[1]]])
def test_names_of_code_are_names(source: Path, tmp_path: Path, auto_map: Any) -> None:
    (source / "own.py").write_text("", encoding="utf-8")
    change_json(source / "tokenizer_config.json", auto_map=auto_map)
    refused_source(source, tmp_path, "auto_map has no names", trusts=True)


def test_a_full_disk_is_told_of_the_encoder_and_not_of_its_source(
    source: Path, tmp_path: Path
) -> None:
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))  # less than the weights have
    try:
        refused_source(source, tmp_path, f"error: {tmp_path / 'work' / 'e'}: File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["params.yaml"]


# --- Code ---


def test_code_in_a_received_encoder_does_not_run_unless_its_row_says_so(
    encoder: Path,
    corpus: Path,
    tmp_path: Path,
    refused_encoder: Callable[..., None],
) -> None:
    marker = tmp_path / "ran"
    write_code(encoder, marker)
    seal(encoder)
    for trusts in (None, False):
        refused_encoder(encoder, "has Python code of its own", trusts=trusts)
        assert not marker.exists()
    work = tmp_path / "work"
    params = write_params(work, trusts=True)
    result = CliRunner().invoke(extract_main, extraction(corpus, encoder, work, params))
    assert result.exit_code == 0, result.output
    assert marker.exists()


def test_code_in_a_received_encoder_does_not_run_under_another_name(
    encoder: Path, tmp_path: Path, refused_encoder: Callable[..., None]
) -> None:
    """As weights, as a tokenizer, or not described at all."""
    marker = tmp_path / "ran"
    write_code(encoder, marker)
    seal(encoder)
    described = json.loads((encoder / "encoder.json").read_text(encoding="utf-8"))
    code = described.pop("code")
    for role in ("weights", "tokenizer", "config"):
        forged = {**described, role: {**described[role], **code}}
        (encoder / "encoder.json").write_text(json.dumps(forged), encoding="utf-8")
        refused_encoder(encoder, f"is no file of {role}", trusts=False)
        refused_encoder(encoder, f"is no file of {role}", trusts=True)
    (encoder / "encoder.json").write_text(json.dumps(described), encoding="utf-8")
    for trusts in (False, True):
        refused_encoder(encoder, "is no part of the encoder", trusts=trusts)
    for path in encoder.glob("*.py"):
        path.unlink()
    refused_encoder(encoder, "set trust_remote_code: true", trusts=False)
    assert not marker.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_elsewhere_is_not_run_even_where_the_models_own_may_be(
    encoder: Path, tmp_path: Path, refused_encoder: Callable[..., None], file: str
) -> None:
    write_code(encoder, tmp_path / "ran")
    auto_map = {"AutoModel": "org/repo--modeling.M", "AutoTokenizer": ["org/repo--t.T", None]}
    change_json(encoder / file, auto_map=auto_map)
    seal(encoder)
    refused_encoder(encoder, "its code is in 'org/repo', not in the model", trusts=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name",
    [
        "evil.py",
        "pytorch_model.bin",
        "adapter_config.json",
        "adapter_model.bin",
        "generation_config.json",
        "chat_template.jinja",
        "tokenizer.model",
        "config.4.0.0.json",
        "custom_generate",
    ],
)
def test_a_file_that_no_encoder_has_is_not_left_for_transformers_to_find(
    encoder: Path, refused_encoder: Callable[..., None], name: str
) -> None:
    if "." in name:
        (encoder / name).write_text('{"base_model_name_or_path": "org/repo"}', encoding="utf-8")
    else:
        (encoder / name).mkdir()
    refused_encoder(encoder, f"{name}: is no part of the encoder")


@pytest.fixture(scope="module")
def coded(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose encoder has code, with a head on it; extracted by one who trusts it."""
    folder = prepared(tmp_path_factory.mktemp("coded"), labelled(random_sentences(60)))
    source = Path(shutil.copytree(tiny_bert, folder / "source"))
    write_code(source, folder / "ran")
    trusting = EncoderSettings(source=str(source), revision=None, trust_remote_code=True)
    encoder = folder / "data" / "encoders" / "e"
    materialise(trusting, encoder)
    params = ParamsFile(write_params(folder, trusts=True))
    extract(
        lambda: read_texts(folder / "texts"),
        texts_sha256=sha256_file(folder / "texts" / "texts.jsonl"),
        encoder_folder=encoder,
        settings=params.section(FeaturesSettings, "features", "f"),
        store_root=folder / "store",
        project=folder,
        out=folder / "features",
        trust_remote_code=trusts_code(params, "e"),
    )
    fitted = fit(folder, head_settings("sequence_classification", training={"epochs": 1}))
    (folder / "models" / "h").mkdir(parents=True)
    save_head(folder / "models" / "h", fitted.head, fitted.description)
    (folder / "data" / "features").mkdir()
    (folder / "features").rename(folder / "data" / "features" / "f")
    (folder / "data" / "text").mkdir()
    (folder / "texts").rename(folder / "data" / "text" / "c")
    (folder / ".dvc").mkdir()
    return folder


def test_predict_runs_code_only_where_it_is_told_to(
    coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker, encoder = coded / "ran", str(coded / "data" / "encoders" / "e")
    monkeypatch.chdir(coded)
    marker.unlink(missing_ok=True)
    for trusts, more in (
        (True, ["--encoder", encoder]),  # the row is of the encoder in data/encoders
        (False, ["--encoder", encoder]),
        (False, []),
        (None, []),
    ):
        params = write_params(coded, trusts=trusts)
        arguments = ["h", *more, "--params", str(params)]
        refused(predict_main, arguments, "has Python code of its own", coded)
    assert not marker.exists()
    params = write_params(coded, trusts=True)
    for more in (["--encoder", encoder, "--trust-remote-code"], []):
        arguments = ["h", *more, "--params", str(params)]
        result = CliRunner().invoke(predict_main, arguments, input=b"snow\n")
        assert result.exit_code == 0, result.output
        assert marker.exists()
        marker.unlink()
        for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
            del sys.modules[name]


def test_a_notebook_runs_code_only_where_it_is_told_to(coded: Path) -> None:
    encoder = coded / "data" / "encoders" / "e"
    (coded / "ran").unlink(missing_ok=True)
    head = icehouse.load(coded / "models" / "h")
    with pytest.raises(EncoderError, match="has Python code of its own"):
        head.predict(["snow"], encoder=encoder)
    assert not (coded / "ran").exists()
    assert head.predict(["snow"], encoder=encoder, trust_remote_code=True)
    assert (coded / "ran").exists()


def test_verify_runs_code_only_where_the_row_says_so(
    coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(coded)
    monkeypatch.setenv("FEATURE_STORE", str(coded / "store"))
    (coded / "ran").unlink(missing_ok=True)
    arguments = ["verify", "f", "--recompute", "2"]
    write_params(coded, trusts=False)
    one_line(CliRunner().invoke(store_main, arguments), "has Python code of its own")
    assert not (coded / "ran").exists()
    write_params(coded, trusts=True)
    result = CliRunner().invoke(store_main, arguments)
    assert result.exit_code == 0, result.output
    assert (coded / "ran").exists()


# --- Descriptions ---

DESCRIPTIONS: dict[str, Change] = {
    "no weights": lambda content: {**content, "weights": {}},
    "a list of weights": lambda content: {**content, "weights": ["model.safetensors"]},
    "a path up": lambda content: {**content, "weights": {"../x.safetensors": "0" * 64}},
    "a whole path": lambda content: {**content, "tokenizer": {"/etc/passwd": "0" * 64}},
    "a device": lambda content: {**content, "weights": {"/dev/zero.safetensors": "0" * 64}},
    "two configurations": lambda content: {
        **content,
        "config": {**content["config"], "other.json": "0" * 64},
    },
    "digest that is short": lambda content: {**content, "config": {"config.json": "0"}},
    "digest that is a number": lambda content: {**content, "config": {"config.json": 7}},
    "code that is a list": lambda content: {**content, "code": ["evil.py"]},
    "code of another kind": lambda content: {**content, "code": {"evil.so": "0" * 64}},
    "depth of text": lambda content: {**content, "depth": "3"},
    "depth that is true": lambda content: {**content, "depth": True},
    "depth below": lambda content: {**content, "depth": -1},
    "depth above": lambda content: {**content, "depth": 10**30},
    "another depth": lambda content: {**content, "depth": 2},
    "another width": lambda content: {**content, "width": 128},
    "a name of 300 characters": lambda content: {
        **content,
        "weights": {"x" * 300 + ".safetensors": "0" * 64},
    },
    "an unknown key": lambda content: {**content, "pickle": "x"},
    "a key too few": lambda content: {key: content[key] for key in content if key != "width"},
    "a list": lambda content: [content],
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_forged_description_is_damaged(
    encoder: Path, refused_encoder: Callable[..., None], name: str
) -> None:
    path = encoder / "encoder.json"
    content = DESCRIPTIONS[name](json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(content), encoding="utf-8")
    refused_encoder(encoder, "encoder.json")


@pytest.mark.parametrize(
    "content", [DEEP, "", "\0", '{"depth": NaN}', '{"source": "\\ud800"}', "{" * 300]
)
def test_a_description_that_is_none_is_damaged(
    encoder: Path, refused_encoder: Callable[..., None], content: str
) -> None:
    (encoder / "encoder.json").write_text(content, encoding="utf-8")
    refused_encoder(encoder, "encoder.json is damaged")


@pytest.mark.parametrize("name", ["encoder.json", "config.json", "model.safetensors"])
def test_a_pipe_in_a_received_encoder_does_not_wait(
    encoder: Path, refused_encoder: Callable[..., None], name: str
) -> None:
    (encoder / name).unlink()
    os.mkfifo(encoder / name)
    refused_encoder(encoder, str(encoder))


# --- Sizes ---


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"hidden_size": 200_000}, "encoder.json says 64 where config.json has hidden_size 200000"),
        ({"num_hidden_layers": 10**7}, "num_hidden_layers 10000000"),
        ({"vocab_size": 10**9}, "far larger than its weights"),
        ({"vocab_size": 10**12}, "far larger than its weights"),
        ({"intermediate_size": 10**9}, "far larger than its weights"),
        ({"max_position_embeddings": 10**12}, "far larger than its weights"),
        ({"type_vocab_size": 10**12}, "far larger than its weights"),
        ({"vocab_size": 0}, "encoder"),
        ({"vocab_size": -5}, "encoder"),
        ({"num_attention_heads": 0}, "cannot be loaded"),
        ({"num_attention_heads": 10**9}, "cannot be loaded"),
        ({"intermediate_size": "128"}, "cannot be read"),
        ({"layer_norm_eps": "x"}, "cannot be read"),
        ({"hidden_act": "__import__('os')"}, "cannot be loaded"),
        ({"hidden_act": 7}, "cannot be read"),
        ({"dtype": "no such type"}, "cannot be"),
        ({"model_type": "no such type"}, "cannot be"),
        ({"pad_token_id": "x"}, "cannot be"),
        ({"max_position_embeddings": None}, "has no max_position_embeddings"),
        ({"model_type": "gpt2", "n_positions": 64}, "its weights lack"),
        ({"model_type": "roberta", "pad_token_id": "x"}, "has no pad_token_id"),
        *CONFIGS,
    ],
)
def test_sizes_are_those_of_the_weights_or_one_line(
    encoder: Path,
    refused_encoder: Callable[..., None],
    changes: dict[str, Any],
    problem: str,
) -> None:
    change_json(encoder / "config.json", **changes)
    seal(encoder)
    refused_encoder(encoder, problem)


@pytest.mark.parametrize("layers", [4, 500, 1024])
def test_a_description_that_agrees_with_a_model_that_is_too_large_does_not_help(
    encoder: Path, refused_encoder: Callable[..., None], layers: int
) -> None:
    change_json(encoder / "config.json", num_hidden_layers=layers)
    seal(encoder, depth=layers)
    problem = "its weights lack" if layers == 4 else "far larger than its weights"
    refused_encoder(encoder, problem)


def test_a_width_of_200_000_costs_no_memory(
    encoder: Path, refused_encoder: Callable[..., None]
) -> None:
    change_json(encoder / "config.json", hidden_size=200_000, intermediate_size=800_000)
    seal(encoder, width=200_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused_encoder(encoder, "far larger than its weights")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def _header(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def _tensor(**changes: Any) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}
    return _header(json.dumps({"embeddings": entry}).encode()) + bytes(8)


WEIGHTS: dict[str, bytes] = {
    "nothing": b"",
    "half of a length": b"\x01\x00",
    "a length of nothing": bytes(8),
    "a length beyond the file": struct.pack("<Q", 1 << 40) + b"{}",
    "the largest length": b"\xff" * 8 + b"{}",
    "no JSON": _header(b"{"),
    "deep JSON": _header(DEEP.encode()),
    "a list": _header(b"[]"),
    "a negative size": _tensor(shape=[-1]),
    "sizes without end": _tensor(shape=[1 << 40, 1 << 40]),
    "a size of text": _tensor(shape=["2"]),
    "offsets beyond the file": _tensor(data_offsets=[0, 1 << 50]),
    "offsets backwards": _tensor(data_offsets=[8, 0]),
    "an unknown type": _tensor(dtype="PICKLE"),
    "no tensor": _header(b"{}"),
    "another tensor": _tensor(),
    "a pickle": b"\x80\x04cposix\nsystem\n",
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_none_are_one_line(
    encoder: Path, refused_encoder: Callable[..., None], name: str
) -> None:
    (encoder / "model.safetensors").write_bytes(WEIGHTS[name])
    seal(encoder)
    refused_encoder(encoder, str(encoder))


def test_weights_that_end_early_are_one_line(
    encoder: Path, refused_encoder: Callable[..., None]
) -> None:
    path = encoder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    seal(encoder)
    refused_encoder(encoder, "ends before its tensors do")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tensor: torch.full_like(tensor, float("nan")), "not finite"),
        (lambda tensor: torch.full_like(tensor, float("inf")), "not finite"),
        (lambda tensor: tensor[:1], "cannot be loaded"),
        (lambda _: None, "its weights lack 1 of the model's tensors"),
    ],
)
def test_weights_of_odd_numbers_are_one_line(
    encoder: Path,
    refused_encoder: Callable[..., None],
    change: Callable[[torch.Tensor], torch.Tensor | None],
    problem: str,
) -> None:
    from safetensors.torch import load_file, save_file

    path = encoder / "model.safetensors"
    tensors = load_file(path)
    name = "encoder.layer.1.attention.self.query.weight"
    changed = change(tensors.pop(name))
    if changed is not None:
        tensors[name] = changed.contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    seal(encoder)
    refused_encoder(encoder, problem)


@pytest.mark.parametrize("named", ["other.safetensors", "../x.safetensors", "evil.bin", ["a"], 7])
def test_a_received_index_names_weights_that_are_there(
    encoder: Path, refused_encoder: Callable[..., None], named: Any
) -> None:
    shutil.move(encoder / "model.safetensors", encoder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": named}}
    (encoder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    seal(encoder)
    refused_encoder(encoder, "model.safetensors.index.json names")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"vocab_size": 10**12}, "far larger than its weights"),
        ({"num_attention_heads": 7}, "no model can be made of it"),
        ({"dtype": "no such type"}, "no model can be made of it"),
        ({"attn_implementation": "some/kernel"}, "some/kernel"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "own.C"}}, "no model can be made of it"),
    ],
)
def test_an_encoder_of_random_weights_is_made_of_no_such_configuration(
    encoder: Path, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    change_json(encoder / "config.json", **changes)
    seal(encoder)
    with pytest.raises(EncoderError, match=problem) as caught:
        random_encoder(encoder, tmp_path / "random")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "random").exists()


# --- Tokenizers ---


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", "7", DEEP, '{"version": "1.0", "model": {"type": "evil"}}']
)
def test_a_tokenizer_that_is_none_is_one_line(
    encoder: Path, refused_encoder: Callable[..., None], content: str
) -> None:
    (encoder / "tokenizer.json").write_text(content, encoding="utf-8")
    seal(encoder)
    refused_encoder(encoder, "its tokenizer cannot be read")


def test_a_tokenizer_of_a_gigabyte_is_not_read(
    encoder: Path, refused_encoder: Callable[..., None]
) -> None:
    with (encoder / "tokenizer.json").open("r+b") as file:
        file.truncate(1 << 29)
    seal(encoder)
    refused_encoder(encoder, "tokenizer.json: has more than 256 MiB")


@pytest.mark.parametrize(
    "changes",
    [
        {"tokenizer_class": "AutoModel"},
        {"tokenizer_class": "pipeline"},
        {"tokenizer_class": ["BertTokenizer"]},
        {"tokenizer_class": 7},
        {"vocab_file": "/etc/passwd"},
        {"merges_file": "../../merges.txt"},
        {"gguf_file": "/dev/zero"},
    ],
)
def test_a_tokenizers_configuration_names_a_tokenizer_and_no_path(
    encoder: Path, refused_encoder: Callable[..., None], changes: dict[str, Any]
) -> None:
    change_json(encoder / "tokenizer_config.json", **changes)
    seal(encoder)
    refused_encoder(encoder, next(iter(changes)))


@pytest.mark.parametrize(
    "auto_map",
    [
        {"AutoTokenizer": ["tokenization_own.T", None]},
        {"AutoTokenizer": [None, "org/repo--t.T"]},
        ["org/repo--t.T", None],
        {"AutoTokenizer": 7},
        7,
    ],
)
@pytest.mark.parametrize("model_type", ["bert", "own"])
def test_code_of_a_tokenizer_does_not_run(
    encoder: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    auto_map: Any,
    model_type: str,
) -> None:
    """Where the type is one that transformers knows, its own tokenizer may be taken."""
    change_json(encoder / "config.json", model_type=model_type)
    change_json(encoder / "tokenizer_config.json", auto_map=auto_map, tokenizer_class="T")
    seal(encoder)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / "store"))
    params = write_params(tmp_path, trusts=False)
    result = CliRunner().invoke(extract_main, extraction(corpus, encoder, tmp_path, params))
    if result.exit_code != 0:
        one_line(result, str(encoder))
    assert not (tmp_path / "modules").exists(), "code was made ready to run"


def test_a_tokenizer_that_gives_up_is_one_line(encoder: Path) -> None:
    """A pattern that takes for ever: the library ends it, with an error that is no Exception."""
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    change_json(encoder / "tokenizer.json", pre_tokenizer={**split, "invert": False})
    change_json(encoder / "tokenizer_config.json", tokenizer_class="TokenizersBackend")
    seal(encoder)
    tokenizer = RowTokenizer(encoder, max_length=None)
    begin = time.process_time()
    with pytest.raises(EncoderError, match="its tokenizer fails: ") as caught:
        tokenizer(["a" * 60 + "!"])
    assert time.process_time() - begin < SECONDS
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_the_token_for_the_unknown_is_one_line(
    encoder: Path, refused_encoder: Callable[..., None]
) -> None:
    path = encoder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["model"].update({"unk_token": "[NONE]", "vocab": {"[CLS]": 2, "[SEP]": 3}})
    content["added_tokens"] = []
    path.write_text(json.dumps(content), encoding="utf-8")
    change_json(encoder / "tokenizer_config.json", tokenizer_class="TokenizersBackend")
    seal(encoder)
    refused_encoder(encoder, "its tokenizer")


# --- Memory ---


@pytest.mark.parametrize("moment", ["load", "tokenizer", "run", "compare"])
def test_memory_of_a_gpu_that_is_short_is_told_as_that(
    tiny_encoder: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    def out_of_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    place = {
        "load": "transformers.AutoModel.from_pretrained",
        "tokenizer": "transformers.AutoTokenizer.from_pretrained",
        "run": "pipeline.encoder.probe._one_row",
        "compare": "pipeline.encoder.forward.FrozenEncoder.encode",
    }[moment]
    monkeypatch.setattr(place, out_of_memory)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATURE_STORE", str(tmp_path / "store"))
    params = write_params(tmp_path)
    arguments = extraction(corpus, tiny_encoder, tmp_path, params)
    result = CliRunner().invoke(extract_main, arguments)
    one_line(result, "error: not enough memory; lower batch_size or max_length")
    assert not (tmp_path / "f").exists()


def test_names_of_files_are_plain() -> None:
    """What all of the above rests on."""
    assert not any(map(is_member_name, ("a/b", "..", "/a", "a\0", "", "a\\b", "x" * 300)))
