"""Extraction end to end: what is computed, what is reused, and the bytes that come out."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_sentences
from pipelines import extracted, labelled, prepared

from pipeline.core.errors import DataError, EncoderError, StoreError
from pipeline.encoder.forward import FrozenEncoder
from pipeline.encoder.packs import EncodedPack
from pipeline.features.reader import open_features

Sentences = list[tuple[str, ...]]


@pytest.fixture
def sentences() -> Sentences:
    return list(dict.fromkeys(random_sentences(150)))


def run(where: Path, sentences: Sentences, encoder: Path, store: Path, **settings: Any) -> Path:
    return extracted(prepared(where, labelled(sentences)), encoder, store=store, **settings)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def edit(sentences: Sentences, position: int) -> Sentences:
    changed = list(sentences)
    changed[position] = (*changed[position], "fish", "bird", "fish")
    return changed


def test_a_second_run_computes_nothing_and_writes_the_same(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    first = digests(run(tmp_path, sentences, tiny_encoder, tmp_path / "store"))
    assert sum(encoded) == len(sentences)
    encoded.clear()
    assert digests(run(tmp_path, sentences, tiny_encoder, tmp_path / "store")) == first
    assert encoded == []


def test_one_edited_text_is_one_row_computed_and_the_bytes_are_those_of_a_cold_run(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    run(tmp_path / "a", sentences, tiny_encoder, tmp_path / "store")
    encoded.clear()
    edited = edit(sentences, 40)
    warm = run(tmp_path / "b", edited, tiny_encoder, tmp_path / "store")
    assert sum(encoded) == 1
    cold = run(tmp_path / "c", edited, tiny_encoder, tmp_path / "other")
    assert digests(warm) == digests(cold)


def test_appended_texts_leave_earlier_shards_alone(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    before = run(tmp_path / "a", sentences[:-5], tiny_encoder, tmp_path / "store")
    encoded.clear()
    after = run(tmp_path / "b", sentences, tiny_encoder, tmp_path / "store")
    assert sum(encoded) == 5
    old = [shard.name for shard in open_features(before).manifest.shards]
    new = [shard.name for shard in open_features(after).manifest.shards]
    assert len(old) > 3
    assert new[: len(old) - 1] == old[:-1]


def test_shuffled_texts_compute_nothing_and_rows_keep_their_bits(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    before = open_features(run(tmp_path / "a", sentences, tiny_encoder, tmp_path / "store"))
    encoded.clear()
    shuffled = [sentences[i] for i in np.random.default_rng(3).permutation(len(sentences))]
    after = open_features(run(tmp_path / "b", shuffled, tiny_encoder, tmp_path / "store"))
    assert encoded == []
    for position, sentence in enumerate(shuffled):
        old = before.states(f"s{sentences.index(sentence)}", layer=3)
        assert np.array_equal(after.states(f"s{position}", layer=3), old)


def test_an_added_layer_leaves_the_files_of_others_alone(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"

    def inodes() -> dict[str, int]:
        return {str(path): path.stat().st_ino for path in store.rglob("*.h5")}

    run(tmp_path, sentences, tiny_encoder, store, layers=(2,))
    before = inodes()
    run(tmp_path, sentences, tiny_encoder, store, layers=(0, 2))
    after = inodes()
    assert before.items() < after.items()
    assert {Path(path).name for path in after.keys() - before.keys()} == {"layer_00.h5"}


def test_a_dropped_layer_takes_its_own_files_alone(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path
) -> None:
    def inodes() -> dict[str, int]:
        return {
            path.relative_to(tmp_path / "features").as_posix(): path.stat().st_ino
            for path in (tmp_path / "features" / "shards").rglob("*.h5")
        }

    run(tmp_path, sentences, tiny_encoder, tmp_path / "store", layers=(0, 2))
    before = inodes()
    run(tmp_path, sentences, tiny_encoder, tmp_path / "store", layers=(2,))
    assert inodes() == {name: node for name, node in before.items() if "layer_00" not in name}


def test_refused_links_are_copies_and_one_message(
    sentences: Sentences,
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    linked = digests(run(tmp_path / "a", sentences, tiny_encoder, tmp_path / "a" / "store"))

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with caplog.at_level(logging.INFO, logger="pipeline"):
        copied = run(tmp_path / "b", sentences, tiny_encoder, tmp_path / "b" / "store")
    assert digests(copied) == linked
    messages = [line for line in caplog.messages if "copied, not linked" in line]
    assert len(messages) == 1
    assert "the system refuses links" in messages[0]
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in copied.rglob("*.h5"))


def test_another_tokenizer_on_the_same_weights_never_shares_rows(
    sentences: Sentences, tiny_bert: Path, tmp_path: Path, encoded: list[int]
) -> None:
    from pipeline.encoder.settings import EncoderSettings
    from pipeline.encoder.snapshot import materialise

    for name, lowercase in (("lower", True), ("exact", False)):
        source = tmp_path / name / "bert"  # the last component is the same
        shutil.copytree(tiny_bert, source)
        tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer["normalizer"]["lowercase"] = lowercase
        (source / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        settings = EncoderSettings(source=str(source), revision=None)
        materialise(settings, tmp_path / name / "encoder")
    weights = [
        (tmp_path / name / "encoder" / "model.safetensors").read_bytes()
        for name in ("lower", "exact")
    ]
    assert weights[0] == weights[1]
    run(tmp_path / "a", sentences, tmp_path / "lower" / "encoder", tmp_path / "store")
    encoded.clear()
    run(tmp_path / "b", sentences, tmp_path / "exact" / "encoder", tmp_path / "store")
    assert sum(encoded) == len(sentences)


def test_a_lower_layer_is_added_without_running_the_upper_ones(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, sentences, tiny_encoder, tmp_path / "store", layers=(3,))
    loaded: list[tuple[int, ...]] = []
    original = FrozenEncoder.__init__

    def spy(self: FrozenEncoder, folder: Path, **arguments: Any) -> None:
        loaded.append(tuple(arguments["layers"]))
        original(self, folder, **arguments)

    monkeypatch.setattr(FrozenEncoder, "__init__", spy)
    run(tmp_path, sentences, tiny_encoder, tmp_path / "store", layers=(1, 3))
    assert loaded == [(1,)]


def test_threads_do_not_change_the_bytes(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in ("1", "2"):
            monkeypatch.setenv("ICEHOUSE_THREADS", threads)
            where = tmp_path / threads
            results.append(digests(run(where, sentences, tiny_encoder, where / "store")))
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


def test_repeated_inputs_are_computed_once(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    features = run(tmp_path, [*sentences, *sentences], tiny_encoder, tmp_path / "store")
    assert sum(encoded) == len(sentences)
    opened = open_features(features)
    assert len(opened.example_ids) == 2 * len(sentences)
    assert len(opened.row_offsets) == len(sentences) + 1


def test_another_encoder_never_shares_rows(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, encoded: list[int]
) -> None:
    from conftest import write_tiny_bert

    from pipeline.encoder.settings import EncoderSettings
    from pipeline.encoder.snapshot import materialise

    source = write_tiny_bert(tmp_path / "elsewhere" / "tiny_bert", seed=1)
    materialise(EncoderSettings(source=str(source), revision=None), tmp_path / "tiny")
    run(tmp_path / "a", sentences, tiny_encoder, tmp_path / "store")
    encoded.clear()
    run(tmp_path / "b", sentences, tmp_path / "tiny", tmp_path / "store")
    assert sum(encoded) == len(sentences)


def test_features_are_links_to_the_store(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path
) -> None:
    features = run(tmp_path, sentences, tiny_encoder, tmp_path / "store")
    stored = {path.stat().st_ino for path in (tmp_path / "store").rglob("*.h5")}
    assert {path.stat().st_ino for path in (features / "shards").rglob("*.h5")} == stored


def test_the_log_says_what_computed_each_shard(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path
) -> None:
    features = run(tmp_path, sentences, tiny_encoder, tmp_path / "store")
    log = next((tmp_path / "store").rglob("log.jsonl")).read_text(encoding="utf-8")
    entries = [json.loads(line) for line in log.splitlines()]
    logged = {shard for entry in entries for shard in entry["shards"]}
    assert logged == {shard.name for shard in open_features(features).manifest.shards}
    assert {"device", "threads", "torch", "seconds"} <= entries[0].keys()


@pytest.mark.parametrize("emulated", [True, False])
def test_a_precision_that_is_emulated_is_warned_of(
    sentences: Sentences,
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    emulated: bool,
) -> None:
    monkeypatch.setattr("pipeline.extraction.run.is_emulated", lambda *_: emulated)
    with caplog.at_level(logging.INFO, logger="pipeline"):
        run(tmp_path, sentences, tiny_encoder, tmp_path / "store", compute_dtype="bfloat16")
    warned = "bfloat16 is emulated here, and several times as slow as float32" in caplog.messages
    assert warned == emulated


def test_values_that_float16_cannot_hold_stop_with_layer_and_text(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FrozenEncoder._encoded

    @torch.inference_mode()
    def large(self: FrozenEncoder, pieces: Any, states: Any, dtype: torch.dtype) -> EncodedPack:
        if dtype == torch.float16:  # and not while it is loaded
            states = {layer: values * 1e6 for layer, values in states.items()}
        return original(self, pieces, states, dtype)

    monkeypatch.setattr(FrozenEncoder, "_encoded", large)
    with pytest.raises(StoreError, match=r"layer 2 of text 's\d+' .* set storage_dtype: float32"):
        run(tmp_path, sentences, tiny_encoder, tmp_path / "store", storage_dtype="float16")
    assert not (tmp_path / "features").exists()


def test_long_texts_are_cut_and_counted_or_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    sentences = [("wolf",) * 30, ("bear", "fox"), ("snow",) * 13]
    features = open_features(
        run(tmp_path, sentences, tiny_encoder, tmp_path / "store", max_length=12)
    )
    assert np.diff(features.row_offsets).tolist() == [12, 4, 12]
    assert features.per_row("row_full_length").tolist() == [32, 4, 15]
    assert features.per_row("row_words").tolist() == [30, 2, 13]
    with pytest.raises(DataError, match=r"text 's0' has 32 tokens .*2 texts are longer"):
        run(
            tmp_path,
            sentences,
            tiny_encoder,
            tmp_path / "store",
            max_length=12,
            long_texts="error",
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 65}, "takes at most 64 tokens, max_length is 65"),
        ({"layers": (4,)}, r"has no layer 4; it has 0 \(embeddings\) to 3"),
        ({"layers": (3, -1)}, "layers 3 and -1 are the same layer"),
    ],
)
def test_settings_that_the_encoder_does_not_allow_are_refused(
    sentences: Sentences,
    tiny_encoder: Path,
    tmp_path: Path,
    settings: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(EncoderError, match=message):
        run(tmp_path, sentences, tiny_encoder, tmp_path / "store", **settings)


def test_states_read_back_are_those_of_transformers(
    sentences: Sentences, tiny_encoder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer

    features = open_features(run(tmp_path, sentences, tiny_encoder, tmp_path / "store"))
    model = AutoModel.from_pretrained(tiny_encoder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    for position in range(0, len(sentences), 7):
        inputs = tokenizer(list(sentences[position]), is_split_into_words=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            expected = model(**inputs, output_hidden_states=True).hidden_states
        for layer in (2, 3):
            states = features.states(f"s{position}", layer=layer)
            np.testing.assert_allclose(states, expected[layer][0].numpy(), atol=1e-5)
